package acr

import (
	"encoding/json"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// Sealed is a text of a document that may be a secret. Secrets are kept apart, sealed: the document then holds Ref, the end
// of the name that the secret has among the sealed ones, and Text is empty. What is sent, and what is no secret, is a Text.
type Sealed struct {
	Ref  string
	Text string
}

// IsZero tells whether there is nothing, sealed or not.
func (s Sealed) IsZero() bool { return s == Sealed{} }

// reference is how a document spells a secret.
type reference struct {
	Ref string `json:"ref"`
}

// MarshalJSON makes a string of a text, and an object of a secret that is kept apart.
func (s Sealed) MarshalJSON() ([]byte, error) {
	if s.Ref != "" {
		return json.Marshal(reference{s.Ref})
	}
	return json.Marshal(s.Text)
}

// UnmarshalJSON reads what MarshalJSON writes; null is nothing.
func (s *Sealed) UnmarshalJSON(text []byte) error {
	*s = Sealed{}
	if strings.HasPrefix(string(text), "{") {
		var r reference
		err := json.Unmarshal(text, &r)
		if s.Ref = r.Ref; err == nil && s.Ref == "" {
			err = fault.New(fault.Invalid, "a secret is a text: it is sent as a string")
		}
		return err
	}
	return json.Unmarshal(text, &s.Text)
}

// MaxSecret bounds a secret, in bytes.
const MaxSecret = 32 << 10

// checkShown refuses a reference where there is no secret: a text that is shown.
func checkShown(what string, s Sealed) error {
	if s.Ref != "" {
		return fault.New(fault.Invalid, "%s is an object where a string is wanted", what)
	}
	return nil
}

func checkSecret(what string, s *Sealed) error {
	if len(s.Text) > MaxSecret {
		return fault.New(fault.Invalid, "%s has %d bytes: %d are allowed", what, len(s.Text), MaxSecret)
	}
	return nil
}
