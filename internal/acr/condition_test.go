package acr_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

const (
	repositories  = "Microsoft.ContainerRegistry/registries/repositories/"
	contentRead   = repositories + "content/read"
	contentWrite  = repositories + "content/write"
	contentCreate = repositories + "content/create"
	metadataRead  = repositories + "metadata/read"
	nameOf        = "@Request[Microsoft.ContainerRegistry/registries/repositories:name]"
	tagOf         = "@Request[Microsoft.ContainerRegistry/registries/repositories:tag]"
	digestOf      = "@Request[Microsoft.ContainerRegistry/registries/repositories:digest]"
	sourceOf      = "@Environment[Microsoft.ContainerRegistry/registries:sourceAddress]"
)

// published is the form in which the real service's pages show conditions.
const published = `
(
 (
  !(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/content/read'})
  AND
  !(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/metadata/read'})
 )
 OR
 (
  @Request[Microsoft.ContainerRegistry/registries/repositories:name] StringStartsWithIgnoreCase 'team/'
  OR
  @Request[Microsoft.ContainerRegistry/registries/repositories:name] StringEqualsIgnoreCase 'hello-world'
 )
)`

// release lets tags release-* move only from CI's network in a window of time.
const release = "!(ActionMatches{'" + contentWrite + "'}) OR !(" + tagOf + " StringLike 'release-*') OR (" + sourceOf +
	" ForAnyOfAnyValues:IpMatch {'10.1.0.0/16', '2001:db8::/32'} AND @Environment[UtcNow] DateTimeGreaterThanEquals '2026-05-01T08:00:00Z'" +
	" AND @Environment[UtcNow] DateTimeLessThan '2026-05-01T18:00:00+00:00')"

func TestHolds(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ci := netip.MustParseAddr("10.1.2.3")
	repo := func(name string) acr.Attributes { return acr.Attributes{Repository: name} }
	tag := func(tag string, from string, at time.Time) acr.Attributes {
		return acr.Attributes{Repository: "app", Tag: tag, Source: netip.MustParseAddr(from), Time: at}
	}
	for _, tt := range []struct {
		name, condition, op string
		at                  acr.Attributes
		want                bool
	}{
		{"prefix", published, contentRead, repo("team/a"), true},
		{"prefix in capitals", published, strings.ToUpper(contentRead), repo("team/a"), true},
		{"not the prefix", published, contentRead, repo("teamx/a"), false},
		{"name", published, metadataRead, repo("hello-world"), true},
		{"an action not named", published, contentWrite, repo("other"), true},
		{"no repository", published, contentRead, repo(""), false},
		{"create is write", "!(ActionMatches{'" + contentWrite + "'}) OR " + nameOf + " StringEquals 'a'", contentCreate, repo("b"), false},
		{"create by itself", "!(ActionMatches{'" + contentCreate + "'}) OR " + nameOf + " StringEquals 'a'", contentCreate, repo("b"), false},
		{"write is not create", "!(ActionMatches{'" + contentCreate + "'}) OR " + nameOf + " StringEquals 'a'", contentWrite, repo("b"), true},
		{"wildcard of actions", "ActionMatches{'" + repositories + "*'} && " + nameOf + " StringEquals 'a'", contentWrite, repo("a"), true},

		{"release in the window", release, contentCreate, tag("release-1", "10.1.9.9", noon), true},
		{"release of version 6", release, contentCreate, tag("release-1", "2001:db8::7", noon), true},
		{"release of a mapped address", release, contentCreate, tag("release-1", "::ffff:10.1.9.9", noon), true},
		{"release from elsewhere", release, contentCreate, tag("release-1", "10.2.0.1", noon), false},
		{"release too late", release, contentCreate, tag("release-1", "10.1.9.9", noon.Add(6*time.Hour)), false},
		{"another tag", release, contentCreate, tag("main", "192.0.2.1", noon), true},
		{"blobs have no tag", release, contentCreate, acr.Attributes{Repository: "app", Source: ci, Time: noon}, true},

		{"any of a set", nameOf + " ForAnyOfAnyValues:StringEquals {'a', 'b'}", contentRead, repo("b"), true},
		{"none of a set", nameOf + " ForAnyOfAnyValues:StringEquals {'a', 'b'}", contentRead, repo("c"), false},
		{"all of a set", nameOf + " ForAllOfAllValues:StringNotEquals {'a', 'b'}", contentRead, repo("b"), false},
		{"all of a set, other", nameOf + " ForAllOfAllValues:StringNotEquals {'a', 'b'}", contentRead, repo("c"), true},
		{"not equal, absent", tagOf + " StringNotEquals 'latest'", contentRead, repo("a"), false},
		{"not equal", tagOf + " stringnotequals 'latest'", contentRead, acr.Attributes{Tag: "v1"}, true},
		{"like", tagOf + " StringLike 'v?.*'", contentRead, acr.Attributes{Tag: "v1.22"}, true},
		{"like, short", tagOf + " StringLike 'v?.*'", contentRead, acr.Attributes{Tag: "v1"}, false},
		{"like, a star itself", tagOf + ` StringLike 'v\*'`, contentRead, acr.Attributes{Tag: "v1"}, false},
		{"not like", tagOf + " StringNotLikeIgnoreCase 'V*'", contentRead, acr.Attributes{Tag: "v1"}, false},
		{"digest", digestOf + " StringStartsWith 'sha256:'", contentRead, acr.Attributes{Digest: "sha256:00"}, true},
		{"exists", "Exists " + tagOf, contentRead, acr.Attributes{Tag: "v1"}, true},
		{"exists not", "NOT Exists " + tagOf, contentRead, acr.Attributes{Tag: "v1"}, false},
		{"one address", sourceOf + " IpNotMatch '10.1.2.3'", contentRead, acr.Attributes{Source: ci}, false},
		{"short name", "@environment[SourceAddress] ipmatch '10.1.2.3'", contentRead, acr.Attributes{Source: ci}, true},
		{"suboperation", "SubOperationMatches{'Blob.List'}", contentRead, repo("a"), false},

		{"and before or", "Exists " + nameOf + " OR Exists " + nameOf + " AND Exists " + tagOf, contentRead, repo("a"), true},
		{"not before and", "! Exists " + tagOf + " && Exists " + nameOf, contentRead, repo("a"), true},
		{"twice not", "!!(Exists " + nameOf + ")", contentRead, repo("a"), true},
		{"a quote", nameOf + " StringEquals 'it''s'", contentRead, repo("it's"), true},
	} {
		c, err := acr.ParseCondition(tt.condition)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := c.Holds(tt.op, tt.at); got != tt.want {
			t.Errorf("%s: holds %t, want %t", tt.name, got, tt.want)
		}
		might, surely := c.Might(tt.op, tt.at), c.Surely(tt.op, tt.at)
		if tt.want && !might || !tt.want && surely {
			t.Errorf("%s: holds %t, though it might: %t, and surely: %t", tt.name, tt.want, might, surely)
		}
	}
	var none *acr.Condition
	if !none.Holds(contentRead, acr.Attributes{}) || !none.Might(contentRead, acr.Attributes{}) || !none.Surely(contentRead, acr.Attributes{}) {
		t.Error("no condition does not hold")
	}
}

// What is not known yet leaves both open, and only that.
func TestMight(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		condition     string
		at            acr.Attributes
		might, surely bool
	}{
		{tagOf + " StringLike 'v*'", acr.Attributes{Repository: "a"}, true, false},
		{"!(" + tagOf + " StringLike 'v*')", acr.Attributes{Repository: "a"}, true, false},
		{tagOf + " StringLike 'v*'", acr.Attributes{Tag: "main"}, false, false},
		{tagOf + " StringLike 'v*' AND " + nameOf + " StringEquals 'b'", acr.Attributes{Repository: "a"}, false, false},
		{tagOf + " StringLike 'v*' OR " + nameOf + " StringEquals 'a'", acr.Attributes{Repository: "a"}, true, true},
		{nameOf + " StringEquals 'a'", acr.Attributes{}, true, false},
		{sourceOf + " IpMatch '10.0.0.0/8'", acr.Attributes{}, false, false},
		{"!Exists " + tagOf, acr.Attributes{}, true, false},
	} {
		c, err := acr.ParseCondition(tt.condition)
		if err != nil {
			t.Fatal(err)
		}
		if might, surely := c.Might(contentRead, tt.at), c.Surely(contentRead, tt.at); might != tt.might || surely != tt.surely {
			t.Errorf("%s of %+v: might %t, surely %t", tt.condition, tt.at, might, surely)
		}
	}
}

func TestParseCondition(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"", "character 1: expected (, NOT, ActionMatches"},
		{"  (", "character 4: expected (, NOT"},
		{nameOf + " StringEquals 'a'", ""},
		{nameOf + " StringEquals", "expected a text in single quotes, found the end"},
		{nameOf + " StringEquals 'a", "character 81: expected a single quote at the text's end"},
		{nameOf + " StringEqual 'a'", `character 68: expected an operator such as StringEqualsIgnoreCase, found "StringEqual 'a'"`},
		{nameOf + " IpMatch '10.0.0.0/8'", "expected an operator that begins with String"},
		{sourceOf + " StringEquals '10.0.0.0/8'", "expected IpMatch or IpNotMatch"},
		{sourceOf + " IpMatch '10.0.0.0/33'", "expected an address or a range"},
		{"@Environment[UtcNow] StringEquals 'x'", "expected an operator that begins with DateTime"},
		{"@Environment[UtcNow] DateTimeLessThan 'noon'", "expected a time such as"},
		{"@Resource[Microsoft.ContainerRegistry/registries/repositories:name] StringEquals 'a'", "character 1: expected @Request["},
		{"@Request[Microsoft.Storage/storageAccounts:name] StringEquals 'a'", "character 1: expected @Request["},
		{nameOf + " StringEquals {'a', 'b'}", "expected a text in single quotes"},
		{nameOf + " ForAnyOfAnyValues:StringEquals 'a'", "expected { and a set of texts"},
		{nameOf + " ForSome:StringEquals {'a'}", "expected ForAnyOfAnyValues: or its like"},
		{nameOf + " ForAnyOfAnyValues:StringEquals {}", "expected a text in single quotes"},
		{nameOf + " ForAnyOfAnyValues:StringEquals {'a' 'b'}", "expected , or }"},
		{"(" + nameOf + " StringEquals 'a'", "expected ) or AND or OR, found the end"},
		{nameOf + " StringEquals 'a' XOR " + nameOf, "expected AND, OR or the end"},
		{"ActionMatches('a')", "expected {"},
		{"NOT", "expected (, NOT"},
		{"true", "expected (, NOT"},
		{"\xff", "not valid UTF-8"},
		{"'é' StringEquals", "character 1: expected"},
		{strings.Repeat("(", 51) + "Exists " + nameOf + strings.Repeat(")", 51), "nested more than 50 deep"},
		{strings.Repeat("!", 10_000), "10000 bytes"},
		{strings.Repeat("!", 8000), "nested more than 50 deep"},
		{strings.Repeat("(", 50) + "Exists " + nameOf + strings.Repeat(")", 50), "nested more than 50 deep"},
		{strings.Repeat("(", 49) + "Exists " + nameOf + strings.Repeat(")", 49), ""},
	} {
		_, err := acr.ParseCondition(tt.in)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%.100q: %v", tt.in, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, fault.Invalid)):
			t.Errorf("%.100q: %v, want %q", tt.in, err, tt.want)
		}
	}
}

// Whatever parses can be asked: Holds lies between Surely and Might, and NOT turns all three around.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{published, release, nameOf + " ForAllOfAllValues:StringNotLike {'a*', 'b''?'}", "!(Exists " + tagOf + ")", "((", "'", "@[]", "ActionMatches{'*'}"} {
		f.Add(s, "team/a", "v1", "10.0.0.1")
	}
	f.Fuzz(func(t *testing.T, text, name, tag, source string) {
		c, err := acr.ParseCondition(text)
		if err != nil {
			if !errors.Is(err, fault.Invalid) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		at := acr.Attributes{Repository: name, Tag: tag, Time: time.Unix(1_800_000_000, 0)}
		at.Source, _ = netip.ParseAddr(source) // an invalid one is an absent one
		holds, might, surely := c.Holds(contentCreate, at), c.Might(contentCreate, at), c.Surely(contentCreate, at)
		if holds && !might || surely && !holds {
			t.Errorf("%q: holds %t, might %t, surely %t", text, holds, might, surely)
		}
		not, err := acr.ParseCondition("!(" + text + ")")
		if err != nil {
			return // too long or too deep
		}
		if not.Holds(contentCreate, at) == holds || not.Might(contentCreate, at) == surely || not.Surely(contentCreate, at) == might {
			t.Errorf("%q and its negation agree", text)
		}
	})
}

func BenchmarkHolds(b *testing.B) {
	c, err := acr.ParseCondition(published)
	if err != nil {
		b.Fatal(err)
	}
	at := acr.Attributes{Repository: "hello-world"}
	for b.Loop() {
		if !c.Holds(metadataRead, at) {
			b.Fatal("does not hold")
		}
	}
}
