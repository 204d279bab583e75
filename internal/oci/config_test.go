package oci_test

import (
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/oci"
)

func TestConfigPlatform(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, mediaType, body, architecture, os string }{
		{"OCI", oci.TypeImageConfig, `{"architecture":"arm64","os":"linux","rootfs":{}}`, "arm64", "linux"},
		{"docker", oci.TypeDockerConfig, `{"os":"windows","architecture":"amd64"}`, "amd64", "windows"},
		{"a type of its own", "application/vnd.cncf.helm.config.v1+json", `{"architecture":"arm64","os":"linux"}`, "", ""},
		{"nothing said", oci.TypeImageConfig, `{}`, "", ""},
		{"no strings", oci.TypeImageConfig, `{"architecture":5,"os":["linux"]}`, "", ""},
		{"no JSON", oci.TypeImageConfig, `architecture: arm64`, "", ""},
		{"too long", oci.TypeImageConfig, `{"architecture":"` + strings.Repeat("a", 65) + `","os":"linux"}`, "", "linux"},
		{"no words", oci.TypeImageConfig, `{"architecture":"a\u0000b","os":"li nux"}`, "", ""},
	} {
		if architecture, os := oci.ConfigPlatform(c.mediaType, []byte(c.body)); architecture != c.architecture || os != c.os {
			t.Errorf("%s: %q, %q; want %q, %q", c.name, architecture, os, c.architecture, c.os)
		}
	}
}
