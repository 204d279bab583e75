package cli

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

// credentialsOf is whose secrets and certificates verbs are about: an application's or a service principal's.
type credentialsOf struct {
	kind, word, usage string
	find              func(p *plane, ctx context.Context, id string) (string, error)
}

// get finds it by ID.
func (of credentialsOf) get(ctx context.Context, p *plane, id string) (object, error) {
	objectID, err := of.find(p, ctx, id)
	if err != nil {
		return nil, err
	}
	return p.graphGet(ctx, of.kind, objectID)
}

const secretWarning = "Keep the secret now: it is not shown again, and whoever has it is this service principal."

// secretSettings are the flags of reset.
type secretSettings struct {
	name, end, certificate string
	years                  int
	add, make              bool
	file                   string // where the certificate that was made is, with its private key
}

func (set *secretSettings) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&set.years, "years", 0, "for how many years it holds (default 1)")
	f.StringVar(&set.end, "end-date", "", "until when it holds, such as 2030-12-31 or 2030-12-31T11:59:59+00:00")
	f.StringVar(&set.certificate, "cert", "", "a certificate instead of a secret: @FILE, or the text of PEM, without the private key")
	f.BoolVar(&set.make, "create-cert", false, "make a certificate instead of a secret; it is written to a file with its private key")
	f.BoolVar(&set.add, "append", false, "keep those there are")
}

// byCertificate tells whether a certificate is to take the secret's place.
func (set *secretSettings) byCertificate() bool { return set.certificate != "" || set.make }

// period is from when to when a new secret holds.
func (set *secretSettings) period(now time.Time) (start, end time.Time, err error) {
	switch {
	case set.years != 0 && set.end != "":
		return start, end, fault.New(fault.Invalid, "--years and --end-date exclude each other")
	case set.years < 0:
		return start, end, fault.New(fault.Invalid, "--years is a number of 1 or more, not %d", set.years)
	case set.end == "":
		return now, now.AddDate(max(set.years, 1), 0, 0), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if end, err = time.Parse(layout, set.end); err == nil {
			if end.Before(now) {
				return start, end, fault.New(fault.Invalid, "--end-date %s is over", set.end)
			}
			return now, end, nil
		}
	}
	return start, end, fault.New(fault.Invalid, "--end-date %q is no time: write it like 2030-12-31 or 2030-12-31T11:59:59+00:00", set.end)
}

// key reads the certificate of --cert, or makes that of --create-cert, as the directory takes it.
func (set *secretSettings) key(start, end time.Time) (object, error) {
	if set.make {
		if set.certificate != "" {
			return nil, fault.New(fault.Invalid, "--cert and --create-cert exclude each other")
		}
		if err := set.makeCertificate(start, end); err != nil {
			return nil, err
		}
	}
	text := []byte(set.certificate)
	if file, ok := strings.CutPrefix(set.certificate, "@"); ok {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return nil, fault.New(fault.Invalid, "--cert: %w", err)
		}
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fault.New(fault.Invalid, "--cert holds no PEM certificate: give @FILE, a certificate without its private key")
	}
	return object{
		"@odata.type": "#microsoft.graph.keyCredential", "displayName": set.name, "keyId": uuid.NewString(),
		"key": base64.StdEncoding.EncodeToString(block.Bytes), "type": "AsymmetricX509Cert", "usage": "Verify",
		"startDateTime": start.UTC().Format(time.RFC3339), "endDateTime": end.UTC().Format(time.RFC3339),
	}, nil
}

// makeCertificate makes a certificate that signs itself and writes it, with its private key, to a new file in the user's
// home directory, as az does.
func (set *secretSettings) makeCertificate(start, end time.Time) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes([]byte(rand.Text())[:16]), Subject: pkix.Name{CommonName: "acre login"},
		NotBefore: start, NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(home, "acre-*.pem") // for its owner only
	if err != nil {
		return err
	}
	set.file, set.certificate = f.Name(), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	_, err = f.Write(append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), set.certificate...))
	return errors.Join(err, f.Close())
}

// madeFile adds to a result where the certificate that was made is.
func (set *secretSettings) madeFile(a *app, result object) {
	if set.file != "" {
		result["fileWithCertAndPrivateKey"] = set.file
		a.warn("Keep %s in a safe place: whoever has it is this service principal. To sign in: acre login --service-principal -u %s --certificate %s",
			set.file, text(result, "appId"), set.file)
	}
}

func (a *app) credentialReset(of credentialsOf) *cobra.Command {
	var set secretSettings
	var id string
	cmd := &cobra.Command{
		Use: "reset", Short: "Make a new secret, which is shown once", Args: noArgs,
		Long:    "Make a new secret and delete those there are, unless --append is given. It is shown this once.",
		Example: "  acre ad " + of.word + " credential reset --id APP_ID --years 2\n  acre ad " + of.word + " credential reset --id APP_ID --append --cert @certificate.pem",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			start, end, err := set.period(time.Now())
			if err != nil {
				return err
			}
			var key object
			o, err := of.get(ctx, p, id)
			if err != nil {
				return err
			}
			if set.byCertificate() {
				if key, err = set.key(start, end); err != nil {
					return err
				}
			}
			password, err := p.resetSecret(ctx, of, o, set, key, start, end)
			if err != nil && password == "" {
				return err
			}
			result := object{"appId": text(o, "appId"), "password": nil, "tenant": p.who.Tenant}
			if password != "" {
				result["password"] = password
				a.warn(secretWarning)
			}
			set.madeFile(a, result)
			return errors.Join(p.print(result), err)
		}),
	}
	idFlag(cmd, &id, of.usage)
	cmd.Flags().StringVar(&set.name, "display-name", "", "what the secret is called")
	set.flags(cmd)
	return cmd
}

// resetSecret adds a certificate, or a secret, which it gives also where an error comes after it: the secrets that go may be
// the one that this command signed in with, whose rights end with it.
func (p *plane) resetSecret(ctx context.Context, of credentialsOf, o object, set secretSettings, key object, start, end time.Time) (string, error) {
	id := text(o, "id")
	var secret string
	var err error
	if key != nil {
		keys := []object{key}
		if set.add {
			keys = append(objects(o["keyCredentials"]), key)
		}
		err = p.graph(ctx, http.MethodPatch, graphPath(of.kind, id), object{"keyCredentials": keys}, nil)
	} else {
		secret, err = p.addSecret(ctx, of.kind, id, set.name, start, end)
	}
	if err != nil || set.add {
		return secret, err
	}
	for _, old := range objects(o["passwordCredentials"]) {
		if err := p.graph(ctx, http.MethodPost, graphPath(of.kind, id, "removePassword"), object{"keyId": text(old, "keyId")}, nil); err != nil {
			return secret, fmt.Errorf("an earlier secret of %s may still hold; acre ad %s credential list shows it: %w", text(o, "appId"), of.word, err)
		}
	}
	return secret, nil
}

// addSecret has the directory make a secret.
func (p *plane) addSecret(ctx context.Context, kind, id, name string, start, end time.Time) (string, error) {
	var made struct {
		Secret string `json:"secretText"`
	}
	credential := object{"startDateTime": start.UTC().Format(time.RFC3339), "endDateTime": end.UTC().Format(time.RFC3339)}
	if name != "" {
		credential["displayName"] = name
	}
	err := p.graph(ctx, http.MethodPost, graphPath(kind, id, "addPassword"), object{"passwordCredential": credential}, &made)
	return made.Secret, err
}

// objects are the objects of a list.
func objects(v any) []object {
	list, _ := v.([]any)
	out := []object{}
	for _, item := range list {
		if o, ok := item.(object); ok {
			out = append(out, o)
		}
	}
	return out
}

func (a *app) credentialList(of credentialsOf) *cobra.Command {
	var id string
	var certificates bool
	cmd := &cobra.Command{
		Use: "list", Short: "List secrets, without what they are", Args: noArgs, Example: "  acre ad " + of.word + " credential list --id APP_ID",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			o, err := of.get(ctx, p, id)
			if err != nil {
				return err
			}
			if certificates {
				return p.print(objects(o["keyCredentials"]))
			}
			return p.print(objects(o["passwordCredentials"]))
		}),
	}
	idFlag(cmd, &id, of.usage)
	cmd.Flags().BoolVar(&certificates, "cert", false, "certificates instead")
	return cmd
}

func (a *app) credentialDelete(of credentialsOf) *cobra.Command {
	var id, key string
	var certificate bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete a secret", Args: noArgs, Example: "  acre ad " + of.word + " credential delete --id APP_ID --key-id KEY_ID",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if key == "" {
				return fault.New(fault.Invalid, "which one? Give --key-id; acre ad %s credential list shows them", of.word)
			}
			o, err := of.get(ctx, p, id)
			if err != nil {
				return err
			}
			objectID := text(o, "id")
			if !certificate {
				return p.graph(ctx, http.MethodPost, graphPath(of.kind, objectID, "removePassword"), object{"keyId": key}, nil)
			}
			keep, found := []object{}, false
			for _, c := range objects(o["keyCredentials"]) {
				if text(c, "keyId") == key {
					found = true
				} else {
					keep = append(keep, c)
				}
			}
			if !found {
				return fault.New(fault.NotFound, "there is no certificate with the key ID %s; acre ad %s credential list --cert shows them", key, of.word)
			}
			return p.graph(ctx, http.MethodPatch, graphPath(of.kind, objectID), object{"keyCredentials": keep}, nil)
		}),
	}
	idFlag(cmd, &id, of.usage)
	cmd.Flags().StringVar(&key, "key-id", "", "ID of the secret")
	cmd.Flags().BoolVar(&certificate, "cert", false, "a certificate instead")
	return cmd
}
