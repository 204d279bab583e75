package test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// oras returns a repository as the oras library speaks to it: with the challenge and token exchange.
func (to target) oras(t testing.TB, repo, password string) *remote.Repository {
	t.Helper()
	r := must(remote.NewRepository(to.Host + "/" + repo))(t)
	r.PlainHTTP = !to.TLS
	transport := &http.Transport{}
	if to.CA != "" && to.TLS {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(must(os.ReadFile(to.CA))(t))
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	t.Cleanup(transport.CloseIdleConnections)
	r.Client = &auth.Client{
		Client: &http.Client{Transport: transport},
		Cache:  auth.NewCache(),
		Credential: auth.StaticCredential(to.Host, auth.Credential{
			Username: to.User, Password: password,
		}),
	}
	return r
}

// An artifact with five referrers: attached, found with and without a filter, deleted, copied along.
func TestOras(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		ctx := t.Context()
		repo := to.repo("oras/artifact")
		r := to.oras(t, repo, to.Password)
		data := randomBytes(100_000)
		layer := must(oras.PushBytes(ctx, r, "application/vnd.example.data", data))(t)
		subject := pack(t, r, "application/vnd.example.thing", oras.PackManifestOptions{Layers: []ocispec.Descriptor{layer}})
		if err := r.Tag(ctx, subject, "v1"); err != nil {
			t.Fatal(err)
		}
		if got := must(r.Resolve(ctx, "v1"))(t); got.Digest != subject.Digest {
			t.Fatalf("v1 is %s, want %s", got.Digest, subject.Digest)
		}

		attached := make(map[digest.Digest]string)
		for i, kind := range []string{"signature", "sbom", "sbom", "scan", "sbom"} {
			d := pack(t, r, "application/vnd.example."+kind, oras.PackManifestOptions{
				Subject: &subject, ManifestAnnotations: map[string]string{"number": fmt.Sprint(i)},
			})
			attached[d.Digest] = kind
		}
		found := referrers(t, r, subject, "")
		if len(found) != 5 {
			t.Errorf("%d referrers, want 5", len(found))
		}
		for _, d := range found {
			if d.ArtifactType != "application/vnd.example."+attached[d.Digest] || d.Annotations["number"] == "" {
				t.Errorf("referrer %s came back as %q with %v", d.Digest, d.ArtifactType, d.Annotations)
			}
		}
		sboms := referrers(t, r, subject, "application/vnd.example.sbom")
		if len(sboms) != 3 {
			t.Errorf("%d referrers of one type, want 3", len(sboms))
		}
		if err := r.Delete(ctx, sboms[0]); err != nil {
			t.Fatal(err)
		}
		if got := referrers(t, r, subject, ""); len(got) != 4 || slices.ContainsFunc(got, func(d ocispec.Descriptor) bool { return d.Digest == sboms[0].Digest }) {
			t.Errorf("after a delete the referrers are %v", got)
		}

		copied := to.oras(t, to.repo("oras/copied"), to.Password)
		if got := must(oras.ExtendedCopy(ctx, r, "v1", copied, "v1", oras.DefaultExtendedCopyOptions))(t); got.Digest != subject.Digest {
			t.Errorf("copied as %s, want %s", got.Digest, subject.Digest)
		}
		if got := len(referrers(t, copied, subject, "")); got != 4 {
			t.Errorf("%d referrers came along, want 4", got)
		}
		local := memory.New()
		must(oras.Copy(ctx, copied, "v1", local, "v1", oras.DefaultCopyOptions))(t)
		if got := must(content.FetchAll(ctx, local, layer))(t); !bytes.Equal(got, data) {
			t.Error("the data came back changed")
		}
	})
}

// A blob is read from the middle, as a client does that resumes a download.
func TestOrasSeek(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		ctx := t.Context()
		r := to.oras(t, to.repo("oras/seek"), to.Password)
		data := randomBytes(1 << 20)
		d := must(oras.PushBytes(ctx, r, "application/octet-stream", data))(t)
		body := must(r.Blobs().Fetch(ctx, d))(t)
		defer body.Close()
		seeker, ok := body.(io.ReadSeeker)
		if !ok {
			t.Fatal("the answer does not say that ranges are accepted")
		}
		for _, at := range []int64{700_000, 3, 1<<20 - 1} {
			must(seeker.Seek(at, io.SeekStart))(t)
			part := make([]byte, min(1000, len(data)-int(at)))
			must(io.ReadFull(seeker, part))(t)
			if !bytes.Equal(part, data[at:int(at)+len(part)]) {
				t.Errorf("other bytes at %d", at)
			}
		}
	})
}

func TestOrasRefused(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		repo := to.repo("oras/refused")
		_, err := oras.PushBytes(t.Context(), to.oras(t, repo, "wrong"), "application/octet-stream", []byte("x"))
		var refused *errcode.ErrorResponse
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusUnauthorized {
			t.Errorf("push with a wrong password: %v, want 401", err)
		}
		if _, err := to.oras(t, repo, to.Password).Resolve(t.Context(), "v1"); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("resolve what nobody pushed: %v, want not found", err)
		}
	})
}

func pack(t testing.TB, r *remote.Repository, artifactType string, opts oras.PackManifestOptions) ocispec.Descriptor {
	t.Helper()
	return must(oras.PackManifest(context.Background(), r, oras.PackManifestVersion1_1, artifactType, opts))(t)
}

func referrers(t testing.TB, r *remote.Repository, subject ocispec.Descriptor, artifactType string) []ocispec.Descriptor {
	t.Helper()
	var all []ocispec.Descriptor
	err := r.Referrers(context.Background(), subject, artifactType, func(page []ocispec.Descriptor) error {
		all = append(all, page...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
