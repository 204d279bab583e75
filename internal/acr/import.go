package acr

import (
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// ImportRequest asks for a copy of an image of another registry.
type ImportRequest struct {
	Source struct {
		ResourceID  string             `json:"resourceId"`  // of a registry of this installation; or
		RegistryURI string             `json:"registryUri"` // the host of any other
		Credentials *ImportCredentials `json:"credentials"`
		SourceImage string             `json:"sourceImage"` // repository:tag or repository@digest
	} `json:"source"`
	TargetTags                 []string `json:"targetTags"`
	UntaggedTargetRepositories []string `json:"untaggedTargetRepositories"`
	Mode                       string   `json:"mode"` // ImportNoForce or ImportForce; "": the first
}

// ImportCredentials are a login of the source; without a user name, the password is a bearer token.
type ImportCredentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// What an import does with a tag that is there already: it is refused, or moves the tag.
const (
	ImportNoForce = "NoForce"
	ImportForce   = "Force"
)

const maxImportTargets = 100

// Validate holds a request against the grammar. Errors: fault.Invalid.
func (r ImportRequest) Validate() error {
	s := r.Source
	switch {
	case strings.TrimSpace(s.SourceImage) == "":
		return fault.New(fault.Invalid, "the import: source.sourceImage is required: the image, as repository:tag or repository@digest")
	case (s.ResourceID == "") == (s.RegistryURI == ""):
		return fault.New(fault.Invalid, "the import of %.200s: give either source.resourceId, the ID of a registry, or source.registryUri, its host", s.SourceImage)
	case s.Credentials != nil && s.Credentials.Password == "":
		return fault.New(fault.Invalid, "the import of %.200s: source.credentials.password is required with credentials", s.SourceImage)
	case len(r.TargetTags)+len(r.UntaggedTargetRepositories) == 0:
		return fault.New(fault.Invalid, "the import of %.200s: give targetTags or untaggedTargetRepositories", s.SourceImage)
	case r.Mode != "" && !strings.EqualFold(r.Mode, ImportNoForce) && !strings.EqualFold(r.Mode, ImportForce):
		return fault.New(fault.Invalid, "the import of %.200s: the mode %.60q is not %s or %s", s.SourceImage, r.Mode, ImportNoForce, ImportForce)
	}
	return first(checkCount("the import: targetTags", len(r.TargetTags), maxImportTargets),
		checkCount("the import: untaggedTargetRepositories", len(r.UntaggedTargetRepositories), maxImportTargets))
}
