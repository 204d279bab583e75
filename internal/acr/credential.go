package acr

// The admin user's passwords, by name.
const (
	Password1 = "password"
	Password2 = "password2"
)

// AdminSecret is the name under which a password of the registry's admin user is sealed.
func AdminSecret(registryUID, password string) string { return "admin/" + registryUID + "/" + password }

// TokenKeyPrefix begins the names of the secrets that hold token signing keys.
const TokenKeyPrefix = "token-key/"

// NullUser is the user name with which a token stands in the password's place.
const NullUser = "00000000-0000-0000-0000-000000000000"

// AnonymousSubject is the subject of tokens given to nobody in particular.
const AnonymousSubject = "acr_anon_pull"
