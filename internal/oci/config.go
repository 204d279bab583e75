package oci

import (
	"encoding/json"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of configurations that name a platform.
const (
	TypeImageConfig  = v1.MediaTypeImageConfig
	TypeDockerConfig = "application/vnd.docker.container.image.v1+json"
)

// MaxConfig is up to which size in bytes a configuration is read for its platform.
const MaxConfig = 256 << 10

// maxPlatformWord is how long an architecture or a system may be to be taken for one.
const maxPlatformWord = 64

// ConfigPlatform reads architecture and system out of an image's configuration. What it does not say, or says badly, is "".
func ConfigPlatform(mediaType string, body []byte) (architecture, os string) {
	if mediaType != TypeImageConfig && mediaType != TypeDockerConfig {
		return "", ""
	}
	var doc struct {
		Architecture any `json:"architecture"`
		OS           any `json:"os"`
	}
	if json.Unmarshal(body, &doc) != nil {
		return "", ""
	}
	return platformWord(doc.Architecture), platformWord(doc.OS)
}

func platformWord(v any) string {
	s, _ := v.(string)
	if len(s) > maxPlatformWord {
		return ""
	}
	for _, c := range s {
		if c <= ' ' || c == 0x7f || c == '\ufffd' {
			return ""
		}
	}
	return s
}

// NamesPlatform tells whether the manifest's configuration is one that ConfigPlatform reads, and short enough to be read.
func (m Manifest) NamesPlatform() bool {
	return m.Config != nil && m.Config.Size <= MaxConfig && (m.Config.MediaType == TypeImageConfig || m.Config.MediaType == TypeDockerConfig)
}
