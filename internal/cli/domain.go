package cli

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

var domains = childKind{
	verb: "domain", path: "customDomains", word: "custom domain", losing: "Who uses it is not answered any more.",
	row: func(o object) any {
		return struct {
			Name        string `json:"NAME"`
			State       string `json:"STATE"`
			Certificate string `json:"CERTIFICATE"`
			Until       string `json:"UNTIL"`
			Reason      string `json:"REASON"`
		}{text(o, "name"), text(o, "state"), text(o, "certificate", "source"), moment(text(o, "certificate", "notAfter")), text(o, "reason")}
	},
}

const domainHelp = `Custom domains: names of your own, such as registry.example.com, under which a registry answers beside its login server.

A domain is served once you have shown that it is yours: by a TXT record that add names, or by letting it lead to the
server. Its certificate is what the server presents by itself (of its own authority, or the files that its operator gave
it), a file that you upload, or got by ACME from the authority that the server is set up with, and renewed by itself.

Lead the domain itself to the server as well: by a CNAME to the registry's login server, for instance.`

func (a *app) domainCommand() *cobra.Command {
	cmd := group("domain", "Names of your own under which a registry answers", domainHelp)
	certificate := group("certificate", "The certificate of a custom domain", "")
	certificate.AddCommand(a.domainCertificateShow(), a.domainCertificateUpdate())
	cmd.AddCommand(a.domainAdd(), a.domainVerify(), certificate)
	cmd.AddCommand(domains.commands(a)...)
	return cmd
}

// domainSettings are the flags of what changes a domain.
type domainSettings struct {
	ofChild
	certificate, key string
	wait             time.Duration
}

func (set *domainSettings) flags(cmd *cobra.Command, certificate string) {
	set.kind = domains
	set.ofChild.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&set.certificate, "certificate", certificate, "server, acme, or a PEM file of a certificate with its chain, leaf first")
	f.StringVar(&set.key, "key", "", "PEM file of the certificate's key")
	f.DurationVar(&set.wait, "wait", 0, "wait until the domain is ready, this long at most")
}

// body is what a change sends of the certificate.
func (set *domainSettings) body() (object, error) {
	certificate := object{}
	switch strings.ToLower(set.certificate) {
	case "server", "acme":
		if set.key != "" {
			return nil, fault.New(fault.Invalid, "--key belongs to a certificate's file: give that as --certificate")
		}
		certificate["source"] = set.certificate
	default:
		for _, part := range []struct{ flag, file, name string }{{"certificate", set.certificate, "chain"}, {"key", set.key, "key"}} {
			if part.file == "" {
				return nil, fault.New(fault.Invalid, "a certificate and its key belong together: give --certificate and --key")
			}
			text, err := os.ReadFile(part.file)
			if err != nil {
				return nil, fault.New(fault.Invalid, "--%s: %w", part.flag, err)
			}
			certificate[part.name] = string(text)
		}
		certificate["source"] = "Upload"
	}
	return object{"properties": object{"certificate": certificate}}, nil
}

// send makes a change, waits if that is asked for, and shows the domain.
func (set *domainSettings) send(ctx context.Context, p *plane, method, id, action string, body object) error {
	got, err := p.ask(ctx, method, id+action, registryVersion, body)
	if err != nil {
		return err
	}
	if text(got, "state") == "Pending" {
		show, _ := got["verification"].(object)
		p.app.warn("Not yet: %s.\nShow that the domain is yours, by one of these:\n  a record in its DNS:  %s  TXT  \"%s\"\n  leading %s to this server, which answers at %s",
			text(got, "reason"), text(show, "recordName"), text(show, "recordValue"), text(got, "name"), text(show, "url"))
	}
	if set.wait > 0 {
		if got, err = set.until(ctx, p, id, got); err != nil {
			return err
		}
	}
	return domains.print(p.app, got)
}

// until waits for a domain to be ready, or to have failed.
func (set *domainSettings) until(ctx context.Context, p *plane, id string, got object) (object, error) {
	ctx, cancel := context.WithTimeout(ctx, set.wait)
	defer cancel()
	line := p.app.progress("Waiting for " + set.name)
	defer line.end()
	for turn := 0; ; turn++ {
		switch state := text(got, "state"); state {
		case "Ready":
			return got, nil
		case "Failed":
			return nil, fault.New(fault.Unavailable, "custom domain %s: %s", set.name, text(got, "reason"))
		default:
			line.note(fmt.Sprintf("%s is %s: %s", set.name, strings.ToLower(state), text(got, "reason")))
			line.turn(turn)
		}
		if err := pause(ctx, time.Second); err != nil {
			return nil, fault.New(fault.Unavailable, "custom domain %s is not ready after %v: %s", set.name, set.wait, text(got, "reason"))
		}
		verb, at := http.MethodGet, id
		if text(got, "state") == "Pending" && turn%5 == 4 {
			verb, at = http.MethodPost, id+"/verify"
		}
		next, err := p.ask(ctx, verb, at, registryVersion, nil)
		if err != nil {
			return nil, err
		}
		got = next
	}
}

func (a *app) domainAdd() *cobra.Command {
	var set domainSettings
	cmd := &cobra.Command{
		Use: "add", Short: "Add a custom domain to a registry", Args: noArgs,
		Example: `  acre domain add -r mainreg -n registry.example.com
  acre domain add -r mainreg -n registry.example.com --certificate acme --wait 10m
  acre domain add -r mainreg -n registry.example.com --certificate fullchain.pem --key privkey.pem`,
	}
	cmd.RunE = a.withPlane(func(ctx context.Context, p *plane) error {
		body, err := set.body()
		if err != nil {
			return err
		}
		id, _, err := set.id(ctx, p)
		if err != nil {
			return err
		}
		return set.send(ctx, p, http.MethodPut, id, "", body)
	})
	set.flags(cmd, "server")
	return cmd
}

func (a *app) domainVerify() *cobra.Command {
	set := domainSettings{ofChild: ofChild{kind: domains}}
	cmd := &cobra.Command{
		Use: "verify", Short: "Look now for the proof that a domain is yours", Args: noArgs,
		Long:    "Look now for the proof that a domain is yours, which otherwise is looked for once a minute, for a week.",
		Example: "  acre domain verify -r mainreg -n registry.example.com --wait 10m",
	}
	cmd.RunE = a.withPlane(func(ctx context.Context, p *plane) error {
		id, _, err := set.id(ctx, p)
		if err != nil {
			return err
		}
		return set.send(ctx, p, http.MethodPost, id, "/verify", nil)
	})
	set.ofChild.flags(cmd)
	cmd.Flags().DurationVar(&set.wait, "wait", 0, "wait until the domain is ready, this long at most")
	return cmd
}

func (a *app) domainCertificateUpdate() *cobra.Command {
	var set domainSettings
	cmd := &cobra.Command{
		Use: "update", Short: "Replace a custom domain's certificate", Args: noArgs,
		Long: `Replace a custom domain's certificate. Every node presents the new one within a second or two; no connection is broken, and
the one before is presented until then.`,
		Example: `  acre domain certificate update -r mainreg -n registry.example.com --certificate fullchain.pem --key privkey.pem
  acre domain certificate update -r mainreg -n registry.example.com --certificate acme`,
	}
	cmd.RunE = a.withPlane(func(ctx context.Context, p *plane) error {
		body, err := set.body()
		if err != nil {
			return err
		}
		id, _, err := set.id(ctx, p)
		if err != nil {
			return err
		}
		return set.send(ctx, p, http.MethodPatch, id, "", body)
	})
	set.flags(cmd, "")
	return cmd
}

func (a *app) domainCertificateShow() *cobra.Command {
	of := ofChild{kind: domains}
	cmd := &cobra.Command{
		Use: "show", Short: "Show a custom domain's certificate, and when it ends", Args: noArgs,
		Example: "  acre domain certificate show -r mainreg -n registry.example.com --query notAfter -o tsv",
	}
	cmd.RunE = a.withPlane(func(ctx context.Context, p *plane) error {
		id, _, err := of.id(ctx, p)
		if err != nil {
			return err
		}
		got, err := p.get(ctx, id, registryVersion)
		if err != nil {
			return err
		}
		certificate, _ := got["certificate"].(object)
		return showOne(a, certificate, func(o object) any {
			return struct {
				Source string `json:"SOURCE"`
				Issuer string `json:"ISSUER"`
				From   string `json:"FROM"`
				Until  string `json:"UNTIL"`
				SHA256 string `json:"SHA256"`
			}{text(o, "source"), text(o, "issuer"), moment(text(o, "notBefore")), moment(text(o, "notAfter")), text(o, "thumbprint")}
		})
	})
	of.flags(cmd)
	return cmd
}
