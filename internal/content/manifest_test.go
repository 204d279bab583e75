package content_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/oci"
)

// Referrers of referrers may be deep: deleting the first takes all, in bounded steps. Thousands of pushes, one after the
// other, are quick on SQLite only, and the rule is the same on both.
func TestDeleteDeepReferrers(t *testing.T) {
	t.Parallel()
	_, r := near(t, metatest.Open(t, metatest.Stores(t)["sqlite"](t), meta.Options{}), content.Options{})
	w := &world{t: t, reg: asAdmin{r}}
	const depth = 4100
	w.push("app", "config")
	subject := digest.FromString("never pushed")
	var first oci.Digest
	for i := range depth {
		body := fmt.Appendf(nil, `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":%q,"size":6},"layers":[],"subject":{"mediaType":"a/b","digest":%q,"size":1}}`,
			digest.FromString("config"), subject)
		desc, err := w.reg.PutManifest(w.t.Context(), "app", oci.Ref{Digest: digest.FromBytes(body)}, oci.TypeImage, body)
		if err != nil {
			w.t.Fatal(err)
		}
		if i == 0 {
			first = desc.Digest
		}
		subject = desc.Digest
	}
	if err := w.reg.DeleteManifest(w.t.Context(), "app", first); err != nil {
		w.t.Fatal(err)
	}
	if _, _, err := w.reg.Tags(w.t.Context(), "app", oci.Page{Limit: 1}); !errors.Is(err, fault.NameUnknown) {
		w.t.Errorf("manifests are left: %v", err)
	}
}
