package oci_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

const (
	someDigest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	descriptor = `{"mediaType":"application/x","digest":"` + someDigest + `","size":2}`
)

func TestParseManifest(t *testing.T) {
	t.Parallel()
	image := `{"schemaVersion":2,"config":` + descriptor + `,"layers":[` + descriptor + `]}`
	for _, tt := range []struct {
		name, mediaType, body string
		want                  fault.Reason // nil = none
	}{
		{"image", oci.TypeImage, image, nil},
		{"docker image", oci.TypeDockerManifest, image, nil},
		{"type with parameters", oci.TypeImage + "; charset=utf-8", image, nil},
		{"type in capitals", strings.ToUpper(oci.TypeImage), image, nil},
		{"no layers", oci.TypeImage, `{"schemaVersion":2,"config":` + descriptor + `}`, nil},
		{"unknown members", oci.TypeImage, `{"schemaVersion":2,"x":{"y":[1]},"config":` + descriptor + `}`, nil},
		{"empty index", oci.TypeIndex, `{"schemaVersion":2,"manifests":[]}`, nil},
		{"index", oci.TypeIndex, `{"schemaVersion":2,"manifests":[` + descriptor + `]}`, nil},
		{"list", oci.TypeDockerList, `{"schemaVersion":2,"manifests":[` + descriptor + `]}`, nil},
		{"artifact", oci.TypeArtifact, `{"artifactType":"a/b","blobs":[` + descriptor + `]}`, nil},
		{"ORAS artifact", oci.TypeORASArtifact, `{"artifactType":"a/b"}`, nil},
		{"no JSON", oci.TypeImage, `{`, fault.ManifestInvalid},
		{"nothing", oci.TypeImage, ``, fault.ManifestInvalid},
		{"null", oci.TypeImage, `null`, fault.ManifestInvalid},
		{"two documents", oci.TypeImage, image + image, fault.ManifestInvalid},
		{"no type", "", image, fault.ManifestInvalid},
		{"bad type", "a b c", image, fault.ManifestInvalid},
		{"unknown type", "application/json", image, fault.ManifestInvalid},
		{"schema 1", "application/vnd.docker.distribution.manifest.v1+prettyjws", image, fault.ManifestInvalid},
		{"another type inside", oci.TypeImage, `{"mediaType":"` + oci.TypeIndex + `",` + image[1:], fault.ManifestInvalid},
		{"schemaVersion 1", oci.TypeImage, strings.Replace(image, "2", "1", 1), fault.ManifestInvalid},
		{"schemaVersion a string", oci.TypeImage, strings.Replace(image, "2", `"2"`, 1), fault.ManifestInvalid},
		{"no config", oci.TypeImage, `{"schemaVersion":2,"layers":[]}`, fault.ManifestInvalid},
		{"image and index", oci.TypeImage, `{"manifests":[],` + image[1:], fault.ManifestInvalid},
		{"index and image", oci.TypeIndex, image, fault.ManifestInvalid},
		{"bad digest", oci.TypeIndex, `{"schemaVersion":2,"manifests":[` + strings.Replace(descriptor, "44136", "xyz", 1) + `]}`, fault.ManifestInvalid},
		{"no digest", oci.TypeIndex, `{"schemaVersion":2,"manifests":[{}]}`, fault.ManifestInvalid},
		{"bad subject", oci.TypeIndex, `{"schemaVersion":2,"subject":{"digest":"sha256:1"}}`, fault.ManifestInvalid},
		{"negative size", oci.TypeIndex, `{"schemaVersion":2,"manifests":[` + strings.Replace(descriptor, ":2}", ":-2}", 1) + `]}`, fault.ManifestInvalid},
		{"too large", oci.TypeImage, strings.Repeat(" ", oci.MaxManifest) + image, fault.ManifestTooLarge},
		{"deep", oci.TypeIndex, strings.Repeat(`{"manifests":[`, 20_000), fault.ManifestInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := oci.ParseManifest(tt.mediaType, []byte(tt.body))
			if tt.want == nil && err != nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// A list of a million nothings takes no more memory than the text it came in. Not parallel: it counts the process's.
func TestParseManifestTakesLittleMemory(t *testing.T) {
	for _, element := range []string{"0", "null", "{}", "[]"} {
		list := strings.Repeat(element+",", (oci.MaxManifest-200)/(len(element)+1)) + element
		body := []byte(`{"schemaVersion":2,"config":{},"layers":[` + list + `]}`)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := oci.ParseManifest(oci.TypeImage, body)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, fault.ManifestInvalid) {
			t.Errorf("a list of %s: %v", element, err)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; taken > 2*oci.MaxManifest {
			t.Errorf("a list of %s takes %d MiB", element, taken>>20)
		}
	}
}

func TestManifestParts(t *testing.T) {
	t.Parallel()
	body := fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[%s,%s],"subject":%s,"annotations":{"a":"b"}}`, descriptor, descriptor, descriptor, descriptor)
	m, err := oci.ParseManifest(oci.TypeImage, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Blobs()) != 3 || m.Subject == nil || m.Manifests != nil || m.ArtifactType != "application/x" {
		t.Errorf("%+v", m)
	}
	d := m.AsReferrer(someDigest, 7)
	if d.MediaType != oci.TypeImage || d.ArtifactType != "application/x" || d.Size != 7 || d.Digest != someDigest || d.Annotations["a"] != "b" {
		t.Errorf("as a referrer: %+v", d)
	}
	m, err = oci.ParseManifest(oci.TypeImage, []byte(strings.Replace(body, "{", `{"artifactType":"own/type",`, 1)))
	if err != nil || m.ArtifactType != "own/type" {
		t.Errorf("artifactType %q, %v", m.ArtifactType, err)
	}
	m, err = oci.ParseManifest(oci.TypeArtifact, []byte(`{"blobs":[`+descriptor+`]}`))
	if err != nil || len(m.Blobs()) != 1 || m.Config != nil {
		t.Errorf("artifact: %+v, %v", m, err)
	}
	// The bytes of Blobs are not those of Layers: who appends to one does not write into the other.
	blobs := m.Blobs()
	_ = append(blobs, oci.Descriptor{})
	blobs[0].Size = 99
	if m.Layers[0].Size == 99 {
		t.Error("Blobs shares its array with Layers")
	}
}

func TestForeign(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		d    oci.Descriptor
		want bool
	}{
		{oci.Descriptor{MediaType: v1.MediaTypeImageLayerGzip}, false},
		{oci.Descriptor{MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar"}, true},
		{oci.Descriptor{MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}, true},
		{oci.Descriptor{MediaType: v1.MediaTypeImageLayer, URLs: []string{"https://x"}}, true},
		{oci.Descriptor{}, false},
	} {
		if got := oci.Foreign(tt.d); got != tt.want {
			t.Errorf("Foreign(%+v) = %t", tt.d, got)
		}
	}
}

func TestReferrersIndex(t *testing.T) {
	t.Parallel()
	if got := string((&oci.Referrers{}).Index()); got != `{"schemaVersion":2,"mediaType":"`+oci.TypeIndex+`","manifests":[]}` {
		t.Errorf("nothing is rendered as %s", got)
	}
	r := &oci.Referrers{Manifests: []oci.Descriptor{{MediaType: oci.TypeImage, Digest: someDigest, Size: 3, ArtifactType: "a/b", Annotations: map[string]string{"k": "v"}}}}
	var index v1.Index
	if err := json.Unmarshal(r.Index(), &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 1 || index.Manifests[0].ArtifactType != "a/b" || index.Manifests[0].Annotations["k"] != "v" {
		t.Errorf("%+v", index)
	}
	if _, err := oci.ParseManifest(oci.TypeIndex, r.Index()); err != nil {
		t.Error(err)
	}
}

// Whatever comes in: no panic, one of two errors, and of what is taken every digest is well-formed.
func FuzzManifest(f *testing.F) {
	for _, mediaType := range []string{oci.TypeImage, oci.TypeIndex, oci.TypeArtifact, oci.TypeDockerList, "x", oci.TypeImage + ";a=b"} {
		f.Add(mediaType, []byte(`{"schemaVersion":2,"config":`+descriptor+`,"layers":[`+descriptor+`]}`))
		f.Add(mediaType, []byte(`{"schemaVersion":2,"manifests":[`+descriptor+`],"subject":`+descriptor+`}`))
		f.Add(mediaType, []byte(`{"blobs":[{"digest":1}]}`))
	}
	f.Fuzz(func(t *testing.T, mediaType string, body []byte) {
		m, err := oci.ParseManifest(mediaType, body)
		if err != nil {
			if !errors.Is(err, fault.ManifestInvalid) && !errors.Is(err, fault.ManifestTooLarge) {
				t.Errorf("error %v", err)
			}
			return
		}
		if !json.Valid(body) {
			t.Error("took what is no JSON")
		}
		named := append(m.Blobs(), m.Manifests...)
		if m.Subject != nil {
			named = append(named, *m.Subject)
		}
		for _, d := range named {
			if _, err := oci.ParseDigest(string(d.Digest)); err != nil || d.Size < 0 {
				t.Errorf("took the descriptor %+v", d)
			}
		}
	})
}
