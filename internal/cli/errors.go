package cli

import "github.com/acre-registry/acre/internal/fault"

const blockedHint = `Rules of the registry keep this address out; they do not bind acre network-rule, acre access-rule and acre update, which change them.
Which one it is says acre access explain --from ADDRESS.`

// hints say what to do where the server cannot know.
var hints = map[fault.Kind]string{
	fault.Unauthenticated: "Log in with acre login, or give --username and --password.",
	fault.Denied:          "This account may not do that: log in with acre login as one that may.",
	fault.Blocked:         blockedHint,
}

// loginHints take their place where somebody logs in.
var loginHints = map[fault.Kind]string{
	fault.Unauthenticated: "Is the password right? On the server's machine, acre admin credential show knows it.",
	fault.Blocked:         blockedHint,
}

// planeHints take their place where a verb asks as who is signed in to the server.
var planeHints = map[fault.Kind]string{
	fault.Unauthenticated: "Sign in with acre login: --service-principal, --use-device-code, --identity, or --username NAME@DOMAIN.",
	fault.Denied:          "acre account show says who is signed in; somebody with the right can assign a role with acre role assignment create.",
	fault.Blocked:         blockedHint,
}

// exitCode is the command line's column of the error table.
func exitCode(k fault.Kind) int {
	switch k {
	case fault.Invalid:
		return 2
	case fault.NotFound:
		return 3
	case fault.Internal, fault.Unauthenticated, fault.Denied, fault.Blocked, fault.Exists, fault.Conflict,
		fault.Precondition, fault.OutOfRange, fault.TooLarge, fault.Disallowed, fault.Unsupported, fault.TooMany,
		fault.Unavailable, fault.Full, fault.Upstream:
		return 1
	}
	return -1 // a kind that the table lacks; a test walks all kinds
}
