package acr

import "strconv"

// ContentKey seals what a registry holds. It stays the same as long as the registry lives; what wraps it changes.
type ContentKey struct {
	Key []byte `json:"key"`          // itself, or wrapped
	By  string `json:"by,omitempty"` // URI of the customer's key version that wraps it; "": nothing does
}

// ContentKeys begins the names of the secrets that hold content keys.
const ContentKeys = "contents/"

// ContentKeySecret names the secret that holds the content key of a registry, by its row's number.
func ContentKeySecret(registry int64) string { return ContentKeys + strconv.FormatInt(registry, 10) }
