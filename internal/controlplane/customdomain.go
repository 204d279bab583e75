package controlplane

import (
	"net/http"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

func (f *Face) customDomainRow() *row {
	domains := rowOf(document[acr.CustomDomain]{
		kind: f.opt.Resources.CustomDomains, row: row{provider: arm.Provider, types: "registries/customDomains"},
		encode: encodeDomain, decode: decodeDomain,
	})
	domains.verbs["POST verify"] = verifyDomain
	return domains
}

type domainWire struct {
	Type       string           `json:"type"`
	ID         string           `json:"id"`
	Name       string           `json:"name"`
	SystemData *systemData      `json:"systemData,omitempty"`
	Properties domainProperties `json:"properties"`
}

type domainProperties struct {
	State             acr.DomainState   `json:"state"`
	Reason            string            `json:"reason,omitempty"`
	Verification      verificationWire  `json:"verification"`
	Certificate       domainCertificate `json:"certificate"`
	ProvisioningState string            `json:"provisioningState"`
}

// verificationWire is what is to be done to show control: the record, or the answer under the URL, either of them.
type verificationWire struct {
	RecordName  string `json:"recordName"`
	RecordType  string `json:"recordType"`
	RecordValue string `json:"recordValue"`
	URL         string `json:"url"`
	Content     string `json:"content"`
	Method      string `json:"method,omitempty"`
	VerifiedAt  string `json:"verifiedAt,omitempty"`
	Until       string `json:"until,omitempty"`
}

// domainCertificate tells of a certificate; nothing of its key, and its chain is what handshakes show.
type domainCertificate struct {
	Source       acr.CertificateSource `json:"source"`
	Subject      string                `json:"subject,omitempty"`
	Issuer       string                `json:"issuer,omitempty"`
	Names        []string              `json:"names,omitempty"`
	SerialNumber string                `json:"serialNumber,omitempty"`
	Thumbprint   string                `json:"thumbprint,omitempty"`
	NotBefore    string                `json:"notBefore,omitempty"`
	NotAfter     string                `json:"notAfter,omitempty"`
	RenewAfter   string                `json:"renewAfter,omitempty"`
	NextAttempt  string                `json:"nextAttempt,omitempty"`
}

func encodeDomain(c *call, kept resource.Kept[acr.CustomDomain]) any {
	d := kept.Doc
	state, reason := c.opt.Resources.DomainState(d)
	show := verificationWire{
		RecordName: acr.ProofRecord(d.Name), RecordType: "TXT", RecordValue: d.Proof.Value,
		URL: "http://" + d.Name + acr.ProofPath + d.Proof.ID, Content: d.Proof.Value, Method: d.Proof.Method,
	}
	if d.Served() {
		show.VerifiedAt = wireTime(d.Proof.At)
	} else {
		show.Until = wireTime(d.Proof.Since.Add(acr.ProofLife))
	}
	return domainWire{
		Type: arm.Provider + "/registries/customDomains", ID: kept.ID.String(), Name: d.Name, SystemData: wireSystem(d.System),
		Properties: domainProperties{state, reason, show, encodeCertificate(d.Certificate), succeeded},
	}
}

func encodeCertificate(c acr.DomainCertificate) domainCertificate {
	out := domainCertificate{
		Source: c.Source, Subject: c.Subject, Issuer: c.Issuer, Names: c.Names, SerialNumber: c.Serial, Thumbprint: c.Thumbprint,
		NextAttempt: wireMoment(c.Next),
	}
	if c.Thumbprint != "" {
		out.NotBefore, out.NotAfter = wireTime(c.NotBefore), wireTime(c.NotAfter)
	}
	if c.Thumbprint != "" && c.Source == acr.ACMECertificate {
		out.RenewAfter = wireTime(c.Renewal())
	}
	return out
}

// wireMoment is wireTime, and nothing for no time.
func wireMoment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return wireTime(t)
}

func decodeDomain(c *call, d *acr.CustomDomain, _ bool) error {
	var in struct {
		Properties struct {
			Certificate member[struct {
				Source member[string] `json:"source"`
				Chain  member[string] `json:"chain"`
				Key    member[string] `json:"key"`
			}] `json:"certificate"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	put, cert := c.r.Method == http.MethodPut, in.Properties.Certificate.Value
	if put && !cert.Source.Set && !cert.Chain.Set && !cert.Key.Set {
		d.Certificate.Source = ""
	}
	if cert.Source.Set {
		d.Certificate.Source = certificateSource(cert.Source.Value)
	}
	if cert.Chain.Value == "" && cert.Key.Value == "" {
		return nil
	}
	if cert.Chain.Value == "" || cert.Key.Value == "" {
		return fault.New(fault.Invalid, "The custom domain '%s' needs both chain and key of a certificate, in PEM.", c.path.ID().Name())
	}
	if !cert.Source.Set {
		d.Certificate.Source = acr.UploadedCertificate
	}
	d.Upload = &acr.KeyPair{Chain: cert.Chain.Value, Key: cert.Key.Value}
	return nil
}

// certificateSource reads a source without regard to case; one that is not known stays as it is, to be refused.
func certificateSource(name string) acr.CertificateSource {
	for _, s := range []acr.CertificateSource{acr.ServerCertificate, acr.UploadedCertificate, acr.ACMECertificate} {
		if strings.EqualFold(name, string(s)) {
			return s
		}
	}
	return acr.CertificateSource(name)
}

func verifyDomain(c *call) error {
	kept, err := c.opt.Resources.VerifyDomain(c.ctx, c.path.ID())
	if err != nil {
		return err
	}
	c.tag(kept.ETag())
	return c.write(http.StatusOK, encodeDomain(c, kept))
}
