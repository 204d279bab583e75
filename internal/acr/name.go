package acr

import (
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// nameRule is what a kind of resource demands of names (control plane, section 2.2).
type nameRule struct {
	kind     string
	min, max int
	marks    string // allowed beside letters and digits
	words    string // the rule in words
}

var (
	tokenNames             = nameRule{"token", 5, 50, "-", "5 to 50 letters, digits and dashes"}
	scopeMapNames          = nameRule{"scope map", 5, 50, "-_", "5 to 50 letters, digits, dashes and underscores"}
	connectedRegistryNames = nameRule{"connected registry", 5, 50, "-_", "5 to 50 letters, digits, dashes and underscores"}
	webhookNames           = nameRule{"webhook", 5, 50, "", "5 to 50 letters and digits"}
	replicationNames       = nameRule{"replication", 5, 50, "", "5 to 50 letters and digits"}
	cacheRuleNames         = nameRule{"cache rule", 5, 50, "-", "5 to 50 letters, digits and dashes"}
	credentialSetNames     = nameRule{"credential set", 5, 50, "-", "5 to 50 letters, digits and dashes"}
	exportPipelineNames    = nameRule{"export pipeline", 5, 50, "", "5 to 50 letters and digits"}
	importPipelineNames    = nameRule{"import pipeline", 5, 50, "", "5 to 50 letters and digits"}
	pipelineRunNames       = nameRule{"pipeline run", 5, 50, "", "5 to 50 letters and digits"}
	identityNames          = nameRule{"managed identity", 3, 128, "-_", "3 to 128 letters, digits, dashes and underscores"}
	vaultNames             = nameRule{"key vault", 3, 24, "-", "3 to 24 letters, digits and dashes"}
	keyNames               = nameRule{"key", 1, 127, "-", "1 to 127 letters, digits and dashes"}
	issuerNames            = nameRule{"trusted issuer", 1, 64, "-_", "1 to 64 letters, digits, dashes and underscores"}
	connectionNames        = nameRule{"private endpoint connection", 1, 200, "-_.", "1 to 200 letters, digits, dashes, dots and underscores"}
	ruleNames              = nameRule{"rule", 1, 64, "-_.", "1 to 64 letters, digits, dashes, dots and underscores"}
)

func (r nameRule) check(name string) error {
	ok := len(name) >= r.min && len(name) <= r.max
	for i := 0; ok && i < len(name); i++ {
		ok = alphanumeric(name[i]) || strings.IndexByte(r.marks, name[i]) >= 0
	}
	if !ok {
		return fault.New(fault.Invalid, "%s name %.140q is not valid: use %s", r.kind, name, r.words)
	}
	return nil
}

// CheckTokenName holds a token's name against the grammar. Errors: Invalid.
func CheckTokenName(name string) error { return tokenNames.check(name) }

// CheckScopeMapName holds the name of a scope map that a user makes against the grammar; those of system scope maps
// begin with an underscore. Errors: Invalid.
func CheckScopeMapName(name string) error {
	if strings.HasPrefix(name, "_") {
		return fault.New(fault.Invalid, "scope map name %.60q is not valid: names that begin with _ are the system's", name)
	}
	return scopeMapNames.check(name)
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// GUID tells whether s is a GUID in lower case, as object IDs and the names of roles and assignments are kept.
func GUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

func checkGUID(what, s string) error {
	if GUID(s) {
		return nil
	}
	return fault.New(fault.Invalid, "%s %.60q is not a GUID in lower case", what, s)
}

// maxText bounds descriptions, display names and the like.
const maxText = 1024

func checkText(what, s string) error {
	if len(s) > maxText {
		return fault.New(fault.Invalid, "%s has %d bytes: %d are allowed", what, len(s), maxText)
	}
	return nil
}

func checkCount(what string, n, limit int) error {
	if n > limit {
		return fault.New(fault.Invalid, "%s: %d are too many: %d are allowed", what, n, limit)
	}
	return nil
}

// first is the first error of a list.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
