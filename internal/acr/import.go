package acr

import (
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// Import asks for artifacts of another registry to be copied into one. What a source holds by pattern is asked for with a *:
// app:* and app:v1.* are tags of one repository, team/* and * all tags of many, team/*:v1.* some of them.
type Import struct {
	Source   ImportSource `json:"source"`
	Tags     []string     `json:"tags,omitempty"`     // where to, as repository:tag
	Untagged []string     `json:"untagged,omitempty"` // repositories that get it without a tag
	Force    bool         `json:"force,omitempty"`    // tags that exist are moved

	// What the real service does not have.
	Referrers bool     `json:"referrers,omitempty"` // whatever refers to what is copied comes along
	Platforms []string `json:"platforms,omitempty"` // of an index only these; empty: all
}

// ImportSource is where an import comes from.
type ImportSource struct {
	Registry string `json:"registry,omitempty"` // the ID of a registry of this installation; else
	Host     string `json:"host,omitempty"`     // where another is
	Username string `json:"username,omitempty"`
	Password string `json:"-"`     // kept apart, sealed
	Image    string `json:"image"` // repository, repository:tag or repository@digest
}

// OnImport is the verb of an operation that imports.
const OnImport = "importImage"

// Token tells whether the password is an access token.
func (s ImportSource) Token() bool {
	return s.Password != "" && (s.Username == "" || s.Username == NullUser)
}

// ImportTarget is where an artifact goes: a repository, under a tag unless that is "".
type ImportTarget struct{ Repository, Tag string }

func (t ImportTarget) String() string {
	if t.Tag == "" {
		return t.Repository
	}
	return t.Repository + ":" + t.Tag
}

// ImportName is an image as an import names it. Of Tag and Digest one is set at most; Repository and Tag may hold a *.
type ImportName struct {
	Repository, Tag string
	Digest          oci.Digest
}

// ParseImportName reads repository, repository:tag and repository@digest; a tag before a digest says nothing.
func ParseImportName(s string) (ImportName, error) {
	name, digest, pinned := strings.Cut(s, "@")
	repository, tag, tagged := strings.Cut(name, ":")
	n := ImportName{Repository: repository, Tag: tag}
	if tagged && tag == "" {
		return n, fault.New(fault.Invalid, "image %.300q has an empty tag: write repository, repository:tag or repository@sha256:…", s)
	}
	if pinned {
		d, err := oci.ParseDigest(digest)
		if err != nil {
			return n, err
		}
		n.Tag, n.Digest = "", d
	}
	return n, n.check()
}

func (n ImportName) check() error {
	plain := n.Repository
	if n.WholeRepositories() {
		plain = strings.TrimSuffix(strings.TrimSuffix(n.Repository, "*"), "/")
	}
	if plain != "" || !n.WholeRepositories() {
		if err := oci.CheckName(plain); err != nil {
			return err
		}
	}
	if n.Digest != "" && n.WholeRepositories() {
		return fault.New(fault.Invalid, "a digest is in one repository: write its name in place of %.300q", n.Repository)
	}
	if n.Tag == "" {
		return nil
	}
	return oci.CheckTag(strings.ReplaceAll(strings.ReplaceAll(n.Tag, "**", "*"), "*", "x"))
}

// WholeRepositories tells whether the name stands for repositories rather than for one.
func (n ImportName) WholeRepositories() bool {
	return n.Repository == "*" || strings.HasSuffix(n.Repository, "/*")
}

// Pattern tells whether the name stands for more than one image.
func (n ImportName) Pattern() bool { return n.WholeRepositories() || strings.Contains(n.Tag, "*") }

// CoversRepository tells whether the name stands for a repository.
func (n ImportName) CoversRepository(name string) bool { return covers(n.Repository, name) }

// CoversTag tells whether the name stands for a tag of a repository that it covers.
func (n ImportName) CoversTag(tag string) bool {
	return n.Tag == "" || matchStars(n.Tag, tag)
}

// matchStars tells whether each * of a pattern can stand for a part of s.
func matchStars(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	rest, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, last)
}

// From is what is copied.
func (in Import) From() (ImportName, error) {
	n, err := ParseImportName(in.Source.Image)
	if err == nil && n.Tag == "" && n.Digest == "" && !n.WholeRepositories() {
		n.Tag = DefaultTag
	}
	return n, err
}

// DefaultTag is meant where an image is named without a tag.
const DefaultTag = "latest"

// Targets is where the image of a repository and tag goes, which From covers; by a digest the tag is "". A target without
// a tag has the source's.
func (in Import) Targets(repository, tag string) []ImportTarget {
	from, _ := in.From()
	stem := strings.TrimSuffix(from.Repository, "*")
	var out []ImportTarget
	for _, t := range in.Tags {
		n, _ := ParseImportName(t)
		to := ImportTarget{n.Repository, n.Tag}
		if from.WholeRepositories() {
			to.Repository = strings.TrimSuffix(n.Repository, "*") + strings.TrimPrefix(repository, stem)
		}
		switch {
		case from.Pattern():
			to.Tag = tag
		case to.Tag == "" && tag != "":
			to.Tag = tag
		case to.Tag == "":
			to.Tag = DefaultTag
		}
		out = append(out, to)
	}
	for _, repository := range in.Untagged {
		out = append(out, ImportTarget{Repository: repository})
	}
	slices.SortFunc(out, func(a, b ImportTarget) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(out)
}

// Bounds of one import.
const (
	maxImportTargets   = 100
	maxImportPlatforms = 50
	maxImportHost      = 300
)

// Validate checks all that can be known without asking anybody.
func (in Import) Validate() error {
	if err := in.Source.validate(); err != nil {
		return err
	}
	from, err := in.From()
	if err != nil {
		return err
	}
	if len(in.Tags)+len(in.Untagged) == 0 {
		return fault.New(fault.Invalid, "an import needs a target: give targetTags, untaggedTargetRepositories, or both")
	}
	if err := checkCount("targets", len(in.Tags)+len(in.Untagged), maxImportTargets); err != nil {
		return err
	}
	if from.Pattern() && len(in.Untagged) > 0 {
		return fault.New(fault.Invalid, "what is imported by the pattern %.300q keeps its tags: give targetTags and no untaggedTargetRepositories", in.Source.Image)
	}
	for _, repository := range in.Untagged {
		if err := oci.CheckName(repository); err != nil {
			return err
		}
	}
	for _, tag := range in.Tags {
		if err := in.checkTarget(from, tag); err != nil {
			return err
		}
	}
	if err := checkCount("platforms", len(in.Platforms), maxImportPlatforms); err != nil {
		return err
	}
	for _, p := range in.Platforms {
		if _, err := ParsePlatform(p); err != nil {
			return err
		}
	}
	return nil
}

func (in Import) checkTarget(from ImportName, tag string) error {
	to, err := ParseImportName(tag)
	switch {
	case err != nil:
		return err
	case to.Digest != "":
		return fault.New(fault.Invalid, "target %.300q is a digest: write repository:tag, or give the repository as one of untaggedTargetRepositories", tag)
	case to.WholeRepositories() != from.WholeRepositories():
		return fault.New(fault.Invalid, "target %.300q does not fit the source %.300q: both end in * or none does", tag, in.Source.Image)
	case !from.Pattern() && to.Pattern():
		return fault.New(fault.Invalid, "target %.300q has a *, which stands for what the source's * covers: %.300q has none", tag, in.Source.Image)
	case from.Pattern() && to.Tag != "" && !to.Pattern():
		return fault.New(fault.Invalid, "target %.300q is one tag for all that %.300q covers: write %s, or %[3]s:*", tag, in.Source.Image, to.Repository)
	}
	return nil
}

func (s ImportSource) validate() error {
	switch {
	case s.Image == "":
		return fault.New(fault.Invalid, "an import needs a source.sourceImage: repository:tag or repository@sha256:…, without the registry's host")
	case s.Registry == "" && s.Host == "":
		return fault.New(fault.Invalid, "an import needs a source: give source.resourceId or source.registryUri")
	case s.Registry != "" && s.Host != "":
		return fault.New(fault.Invalid, "an import has one source: give source.resourceId or source.registryUri, not both")
	case s.Registry != "" && s.Username+s.Password != "":
		return fault.New(fault.Invalid, "a source named by its resourceId is read as who asks: give credentials with source.registryUri only")
	case s.Username != "" && s.Password == "":
		return fault.New(fault.Invalid, "source.credentials have a username and no password: give both, or a token as the password alone")
	case len(s.Password) > MaxSecret || len(s.Username) > maxText:
		return fault.New(fault.Invalid, "source.credentials are too long: %d bytes of password and %d of username are allowed", MaxSecret, maxText)
	case len(s.Host) > maxImportHost || strings.ContainsAny(s.Host, "/?#@\\ ") || strings.HasPrefix(s.Host, ":"):
		return fault.New(fault.Invalid, "source.registryUri %.100q is not a registry's host: write host or host:port, such as docker.io", s.Host)
	}
	if s.Registry == "" {
		return nil
	}
	id, err := arm.ParseID(s.Registry)
	if err != nil || !strings.EqualFold(id.Provider, arm.Provider) || len(id.Types) != 1 || !strings.EqualFold(id.Types[0], "registries") {
		return fault.New(fault.Invalid, "source.resourceId %.300q is not the ID of a registry", s.Registry)
	}
	return nil
}

// ParsePlatform reads os/architecture and os/architecture/variant.
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") || len(s) > maxText {
		return Platform{}, fault.New(fault.Invalid, "platform %.100q is not os/architecture or os/architecture/variant, such as linux/arm64", s)
	}
	p := Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

// Is tells whether a platform is the one asked for; one that names no variant asks for any.
func (p Platform) Is(asked Platform) bool {
	return p.OS == asked.OS && p.Architecture == asked.Architecture && (asked.Variant == "" || asked.Variant == p.Variant)
}

// ImportProgress is how far an import is. What the target had already counts as done.
type ImportProgress struct {
	Checked   bool  `json:"checked"` // no tag stood in the way when it began
	Images    int64 `json:"images"`  // to be copied
	Copied    int64 `json:"copied"`  // of them
	Blobs     int64 `json:"blobs"`   // seen so far
	BlobsDone int64 `json:"blobsDone"`
	Present   int64 `json:"blobsPresent"` // of those done: here before, or shared with the source
	Bytes     int64 `json:"bytes"`        // of the blobs seen so far
	BytesDone int64 `json:"bytesDone"`
	Received  int64 `json:"bytesReceived"` // from the source
}
