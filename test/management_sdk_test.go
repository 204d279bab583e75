package test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// manager signs in to a cloud as its owner, as programs in Go do.
func (c *cloud) manager(t testing.TB) (*azidentity.ClientSecretCredential, *arm.ClientOptions) {
	t.Helper()
	opt := policy.ClientOptions{Transport: &http.Client{Transport: c.transport(t)}}
	cred, err := azidentity.NewClientSecretCredential(devTenant, devOwner, devSecret, &azidentity.ClientSecretCredentialOptions{ClientOptions: opt})
	if err != nil {
		t.Fatal(err)
	}
	return cred, &arm.ClientOptions{ClientOptions: opt}
}

// finished waits for an operation with the client's own poller.
func finished[T any](t testing.TB) func(p *runtime.Poller[T], err error) T {
	return func(p *runtime.Poller[T], err error) (done T) {
		t.Helper()
		if err == nil {
			done, err = p.PollUntilDone(context.Background(), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
}

// pages reads a list to its end with the client's own pager.
func pages[T any](t testing.TB, p *runtime.Pager[T]) (all []T) {
	t.Helper()
	for p.More() {
		page, err := p.NextPage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page)
	}
	return all
}

// says holds that a client was told an error with a code.
func says(t testing.TB, code string, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), code) {
		t.Errorf("%v, want %s", err, code)
	}
}

// content pushes an image with Microsoft's client of the data plane, pulls it, lists it, and deletes it.
func (c *cloud) content(t testing.TB, host string) {
	t.Helper()
	cred, opt := c.manager(t)
	ctx := context.Background()
	client, err := azcontainerregistry.NewClient("https://"+host, cred, &azcontainerregistry.ClientOptions{ClientOptions: opt.ClientOptions})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := azcontainerregistry.NewBlobClient("https://"+host, cred, &azcontainerregistry.BlobClientOptions{ClientOptions: opt.ClientOptions})
	if err != nil {
		t.Fatal(err)
	}
	push := func(data []byte) (ocispec.Descriptor, error) {
		begun, err := blobs.StartUpload(ctx, "team/app", nil)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		sum := azcontainerregistry.NewBlobDigestCalculator()
		sent, err := blobs.UploadChunk(ctx, *begun.Location, bytes.NewReader(data), sum, nil)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		done, err := blobs.CompleteUpload(ctx, *sent.Location, sum, nil)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Size: int64(len(data)), Digest: digest.Digest(*done.DockerContentDigest)}, nil
	}
	layer := must(push([]byte("a layer")))(t)
	config := must(push([]byte("{}")))(t)
	config.MediaType = ocispec.MediaTypeImageConfig
	manifest := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{layer}}
	manifest.SchemaVersion = 2
	body := must(json.Marshal(manifest))(t)
	pushed := must(client.UploadManifest(ctx, "team/app", "v1", azcontainerregistry.ContentTypeApplicationVndOciImageManifestV1JSON, streaming{bytes.NewReader(body)}, nil))(t)
	pulled := must(client.GetManifest(ctx, "team/app", "v1", &azcontainerregistry.ClientGetManifestOptions{Accept: to.Ptr(ocispec.MediaTypeImageManifest)}))(t)
	if got := must(io.ReadAll(pulled.ManifestData))(t); !bytes.Equal(got, body) {
		t.Errorf("pulled %s, pushed %s", got, body)
	}
	fetched := must(blobs.GetBlob(ctx, "team/app", layer.Digest.String(), nil))(t)
	if got := must(io.ReadAll(fetched.BlobData))(t); string(got) != "a layer" {
		t.Errorf("pulled %q", got)
	}
	if names := pages(t, client.NewListRepositoriesPager(nil)); len(names) != 1 || len(names[0].Names) != 1 || *names[0].Names[0] != "team/app" {
		t.Errorf("repositories: %+v", names)
	}
	must(client.DeleteManifest(ctx, "team/app", *pushed.DockerContentDigest, nil))(t)
	must(client.DeleteRepository(ctx, "team/app", nil))(t)
	if left := pages(t, client.NewListRepositoriesPager(nil)); len(left) != 1 || len(left[0].Names) != 0 {
		t.Errorf("repositories are left: %+v", left)
	}
}

// streaming is a reader as Microsoft's clients want bodies.
type streaming struct{ *bytes.Reader }

func (streaming) Close() error { return nil }

// Microsoft's Python and JavaScript clients of the management API go through a registry's life.
func TestManagementSDKs(t *testing.T) {
	t.Parallel()
	root := must(filepath.Abs(".."))(t)
	for name, command := range map[string][]string{
		"python": {filepath.Join(root, ".cache/sdk/bin/python"), filepath.Join(root, "test/python/management.py")},
		"js":     {"node", filepath.Join(root, "test/js/management.mjs")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "python" {
				if _, err := os.Stat(command[0]); err != nil {
					missing(t, "%s is not installed: run scripts/install-test-tools.sh", command[0])
				}
			} else {
				need(t, "node")
			}
			c := startCloud(t)
			s := c.shell(t).with("AZURE_TENANT_ID="+devTenant, "AZURE_CLIENT_ID="+devOwner, "AZURE_CLIENT_SECRET="+devSecret,
				"AZURE_SUBSCRIPTION_ID="+devSubscription, "NODE_PATH="+filepath.Join(root, ".cache/js/node_modules"))
			if got := s.run(command[0], command[1:]...); !strings.HasSuffix(got, "done") {
				t.Errorf("%s: %s", name, got)
			}
		})
	}
}
