package directory

import (
	"errors"

	"github.com/acre-registry/acre/internal/fault"
)

// Refusal is an error of a login flow, with what the protocol says of it.
type Refusal struct {
	OAuth    string // the member error, such as invalid_client
	Number   int    // of AADSTS
	ToClient bool   // the redirect URI is the client's: the error may be sent there
	Err      *fault.Error
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// RefusalOf finds the Refusal in err's chain.
func RefusalOf(err error) (r *Refusal, ok bool) {
	ok = errors.As(err, &r)
	return r, ok
}

// why is a reason to refuse.
type why struct {
	kind   fault.Kind
	oauth  string
	number int
}

// refuse makes a Refusal; its text is shown to the user.
func refuse(w why, format string, args ...any) error {
	return &Refusal{OAuth: w.oauth, Number: w.number, Err: fault.New(fault.Code{Kind: w.kind, Name: w.oauth}, format, args...)}
}

// Reasons, with the numbers of the real service where it has one.
var (
	badRequest         = why{fault.Invalid, "invalid_request", 900144}
	unknownTenant      = why{fault.Invalid, "invalid_request", 90002}
	malformedRequest   = why{fault.Invalid, "invalid_request", 9002313}
	badRedirect        = why{fault.Invalid, "invalid_request", 50011}
	needsChallenge     = why{fault.Invalid, "invalid_request", 9002325}
	unsupportedMethod  = why{fault.Invalid, "invalid_request", 501482}
	unsupportedGrant   = why{fault.Invalid, "unsupported_grant_type", 70003}
	unsupportedAnswer  = why{fault.Invalid, "unsupported_response_type", 700054}
	badScope           = why{fault.Invalid, "invalid_scope", 70011}
	badResource        = why{fault.Invalid, "invalid_resource", 500011}
	unknownClient      = why{fault.Unauthenticated, "unauthorized_client", 700016}
	disabledClient     = why{fault.Unauthenticated, "unauthorized_client", 7000112}
	badSecret          = why{fault.Unauthenticated, "invalid_client", 7000215}
	expiredSecret      = why{fault.Unauthenticated, "invalid_client", 7000222}
	needsSecret        = why{fault.Unauthenticated, "invalid_client", 7000218}
	publicClient       = why{fault.Unauthenticated, "invalid_client", 700025}
	badAssertion       = why{fault.Unauthenticated, "invalid_client", 700027}
	expiredAssertion   = why{fault.Unauthenticated, "invalid_client", 700024}
	assertionAudience  = why{fault.Unauthenticated, "invalid_client", 50012}
	replayedAssertion  = why{fault.Unauthenticated, "invalid_client", 70063}
	unknownIssuer      = why{fault.Unauthenticated, "invalid_client", 700211}
	unknownAudience    = why{fault.Unauthenticated, "invalid_client", 700212}
	unknownSubject     = why{fault.Unauthenticated, "invalid_client", 700213}
	wrongPassword      = why{fault.Unauthenticated, "invalid_grant", 50126}
	disabledUser       = why{fault.Unauthenticated, "invalid_grant", 50057}
	tooManyAttempts    = why{fault.TooMany, "invalid_grant", 50053}
	badRefreshToken    = why{fault.Unauthenticated, "invalid_grant", 9002313}
	expiredRefresh     = why{fault.Unauthenticated, "invalid_grant", 700082}
	revokedRefresh     = why{fault.Unauthenticated, "invalid_grant", 50173}
	otherClients       = why{fault.Unauthenticated, "invalid_grant", 700005}
	badCode            = why{fault.Unauthenticated, "invalid_grant", 9002313}
	expiredCode        = why{fault.Unauthenticated, "invalid_grant", 70008}
	usedCode           = why{fault.Unauthenticated, "invalid_grant", 54005}
	otherRedirect      = why{fault.Unauthenticated, "invalid_grant", 500112}
	badVerifier        = why{fault.Unauthenticated, "invalid_grant", 50148}
	tooManyChecks      = why{fault.TooMany, "temporarily_unavailable", 90033}
	pending            = why{fault.Conflict, "authorization_pending", 70016}
	slowDown           = why{fault.Conflict, "slow_down", 70016}
	declined           = why{fault.Denied, "authorization_declined", 70018}
	expiredDevice      = why{fault.Unauthenticated, "expired_token", 70020}
	badDevice          = why{fault.Unauthenticated, "bad_verification_code", 70018}
	tooManyDevices     = why{fault.TooMany, "temporarily_unavailable", 90033}
	identityNotFound   = why{fault.Invalid, "invalid_request", 70002}
	temporarilyUnknown = why{fault.Unavailable, "temporarily_unavailable", 90033}
)
