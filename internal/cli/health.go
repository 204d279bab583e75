package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/ociclient"
)

// Error ids of checks, those of az acr check-health.
const (
	errDNS       = "CONNECTIVITY_DNS_ERROR"
	errForbidden = "CONNECTIVITY_FORBIDDEN_ERROR"
	errChallenge = "CONNECTIVITY_CHALLENGE_ERROR"
	errHeader    = "CONNECTIVITY_WWW_AUTHENTICATE_ERROR"
	errToken     = "CONNECTIVITY_ACCESS_TOKEN_ERROR"
	errRefresh   = "CONNECTIVITY_REFRESH_TOKEN_ERROR"
	errTLS       = "CONNECTIVITY_SSL_ERROR"
	errTooMany   = "CONNECTIVITY_TOOMANYREQUESTS_ERROR"
	errUnknown   = "UNEXPECTED_ERROR"
)

// check is the outcome of one.
type check struct {
	Check   string `json:"check"`
	Status  string `json:"status"` // ok, failed, skipped
	Error   string `json:"error,omitempty"`
	Message string `json:"message"`
}

func (a *app) healthCommand() *cobra.Command {
	var acc account
	cmd := &cobra.Command{
		Use: "check-health", Short: "Check that a registry can be reached and used", Args: noArgs,
		Long: `Check, one after the other, that the login server's name resolves, that it answers as a registry, that it gives a
token for the credentials at hand, and that the catalog can be read with it. Ends with 1 if a check fails.`,
		Example: "  acre check-health\n  acre check-health -n mainreg -o table\n  acre check-health --query \"[?status=='failed'].error\" -o tsv",
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, cred, err := a.reach(cmd.Context(), acc)
			if err != nil {
				return err
			}
			c, err := a.client(t, cred)
			if err != nil {
				return err
			}
			list, failed := checkHealth(cmd.Context(), t, c, cred)
			if err := a.print(list); err != nil {
				return err
			}
			if failed != nil {
				return fault.New(fault.Unavailable, "registry %s is not healthy: %s", t.Host(), failed.Error)
			}
			return nil
		},
	}
	acc.flags(cmd)
	return cmd
}

// checkHealth runs the checks; after one that fails the others are skipped.
func checkHealth(ctx context.Context, t target, c *ociclient.Client, cred ociclient.Credential) (list []check, failed *check) {
	var ch ociclient.Challenge
	for _, step := range []struct {
		name, bad string
		run       func() (string, error)
	}{
		{"dns", errDNS, func() (string, error) { return lookUp(ctx, t) }},
		{"challenge", errChallenge, func() (said string, err error) {
			if ch, err = c.Challenge(ctx); err == nil && ch.Scheme == "" {
				return "the registry asks for no credentials", nil
			}
			return ch.Scheme + " " + ch.Realm, err
		}},
		{"token", errToken, func() (string, error) {
			_, err := c.Login(ctx, ch, cred, "registry:catalog:*")
			return whose(cred), err
		}},
		{"catalog", errToken, func() (string, error) {
			_, _, err := c.Repositories(ctx, oci.Page{Limit: 1})
			return "the catalog can be read", err
		}},
	} {
		if failed != nil {
			list = append(list, check{Check: step.name, Status: "skipped", Message: "because " + failed.Check + " failed"})
			continue
		}
		said, err := step.run()
		if err == nil {
			list = append(list, check{Check: step.name, Status: "ok", Message: said})
			continue
		}
		bad := errorID(err, step.bad)
		if bad == errToken && step.name == "token" && cred.RefreshToken != "" {
			bad = errRefresh
		}
		failed = &check{Check: step.name, Status: "failed", Error: bad, Message: err.Error()}
		list = append(list, *failed)
	}
	return list, failed
}

func whose(cred ociclient.Credential) string {
	switch {
	case cred.RefreshToken != "":
		return "by refresh token"
	case cred.Username != "":
		return "as " + cred.Username
	}
	return "anonymously"
}

// lookUp resolves the host that connections go to.
func lookUp(ctx context.Context, t target) (string, error) {
	host := t.url.Hostname()
	if t.dial != "" {
		return host + " is served at " + t.dial, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", fault.New(fault.Unavailable, "%s does not resolve: check the name and the resolver: %w", host, err)
	}
	return host + " is " + found[0], nil
}

// errorID is the id of a failure: the step's own, unless the failure tells more.
func errorID(err error, otherwise string) string {
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case otherwise == errDNS:
		return errDNS
	case errors.As(err, &cert), errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return errTLS
	case errors.Is(err, fault.Blocked):
		return errForbidden
	case errors.Is(err, fault.TooMany):
		return errTooMany
	case otherwise == errChallenge && errors.Is(err, fault.Upstream):
		return errHeader
	case errors.Is(err, fault.Internal) && otherwise != errChallenge:
		return errUnknown
	}
	return otherwise
}
