package controlplane

import (
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// importBody asks for artifacts of another registry. What is below acre the real service does not have.
type importBody struct {
	Source struct {
		ResourceID  string                    `json:"resourceId"`
		RegistryURI string                    `json:"registryUri"`
		Credentials member[importCredentials] `json:"credentials"`
		SourceImage string                    `json:"sourceImage"`
	} `json:"source"`
	TargetTags                 []string `json:"targetTags"`
	UntaggedTargetRepositories []string `json:"untaggedTargetRepositories"`
	Mode                       string   `json:"mode"`
	Acre                       struct {
		Referrers bool     `json:"referrers"`
		Platforms []string `json:"platforms"`
	} `json:"acre"`
}

type importCredentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Modes of an import: what it does with tags that exist.
const (
	importNoForce = "NoForce"
	importForce   = "Force"
)

// importImage begins an import, and answers where to ask how it ended.
func importImage(c *call) error {
	var body importBody
	if err := c.decode(&body); err != nil {
		return err
	}
	login := body.Source.Credentials.Value
	switch {
	case body.Source.Credentials.Set && !body.Source.Credentials.Null && login.Password == "":
		return fault.New(fault.Invalid, "source.credentials need a password: that of a user, or a token as the password alone")
	case body.Mode != "" && !strings.EqualFold(body.Mode, importForce) && !strings.EqualFold(body.Mode, importNoForce):
		return fault.New(fault.Invalid, "mode %.60q is neither %s nor %s", body.Mode, importForce, importNoForce)
	}
	host := strings.TrimSuffix(body.Source.RegistryURI, "/")
	if scheme, rest, found := strings.Cut(host, "://"); found && strings.EqualFold(scheme, "https") {
		host = rest
	}
	o, err := c.opt.Resources.ImportImage(c.ctx, c.path.ID(), acr.Import{
		Source: acr.ImportSource{
			Registry: body.Source.ResourceID, Host: strings.ToLower(host), Username: login.Username, Password: login.Password,
			Image: body.Source.SourceImage,
		},
		Tags: body.TargetTags, Untagged: body.UntaggedTargetRepositories, Force: strings.EqualFold(body.Mode, importForce),
		Referrers: body.Acre.Referrers, Platforms: body.Acre.Platforms,
	})
	if err != nil {
		return err
	}
	return c.accepted(&o)
}

// wireProgress is how far an import is, as the status of its operation has it.
type wireProgress struct {
	Images       int64 `json:"images"`
	Copied       int64 `json:"imagesCopied"`
	Blobs        int64 `json:"blobs"`
	BlobsDone    int64 `json:"blobsDone"`
	BlobsPresent int64 `json:"blobsPresent"`
	Bytes        int64 `json:"bytes"`
	BytesDone    int64 `json:"bytesDone"`
	Received     int64 `json:"bytesReceived"`
}

func progressOf(o acr.Operation) *operationWireProperties {
	p := o.Progress
	if p == nil {
		return nil
	}
	return &operationWireProperties{wireProgress{p.Images, p.Copied, p.Blobs, p.BlobsDone, p.Present, p.Bytes, p.BytesDone, p.Received}}
}
