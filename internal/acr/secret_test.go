package acr

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// The check is the published one: its vectors, folded.
func TestMarvin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		data string
		want uint64
	}{
		{"", 0x30ED35C100CD3C7D}, {"af", 0x48E73FC77D75DDC1}, {"e70f", 0xB5F6E1FC485DBFF8}, {"37f495", 0xF0B07C789B8CF7E8},
		{"8642dc59", 0x7008F2E87E9CF556}, {"153fb79826", 0xE6C08C6DA2AFA997}, {"0932e6246c47", 0x6F04BF1A5EA24060}, {"ab427ea8d10fc7", 0xE11847E4F0678C41},
	} {
		data, err := hex.DecodeString(tt.data)
		if err != nil {
			t.Fatal(err)
		}
		if got := marvin(0x004FB61A001BDBCC, data); got != uint32(tt.want)^uint32(tt.want>>32) {
			t.Errorf("%s: %08x, want %016x folded", tt.data, got, tt.want)
		}
	}
}

// scannersPassword and scannersSecret are what scanners for the real service's secrets look for.
var (
	scannersPassword = regexp.MustCompile(`^[0-9A-Za-z+/]{42}\+ACR[A-D][0-9A-Za-z+/]{5}$`)
	scannersSecret   = regexp.MustCompile(`^[a-zA-Z0-9_~.-]{3}8Q~[a-zA-Z0-9_~.-]{31,40}$`)
)

func TestNewSecrets(t *testing.T) {
	t.Parallel()
	for range 200 {
		p, s := NewPassword(), NewClientSecret()
		if !scannersPassword.MatchString(p) || strings.Count(p, "+") != 1 || strings.Contains(p, "/") || p == NewPassword() {
			t.Errorf("password %q", p)
		}
		if !scannersSecret.MatchString(s) || s == NewClientSecret() {
			t.Errorf("client secret %q", s)
		}
		if got := FindSecrets(p); !slices.Equal(got, []string{p}) {
			t.Errorf("in %q: %q", p, got)
		}
		if got := FindSecrets(s); !slices.Equal(got, []string{s}) {
			t.Errorf("in %q: %q", s, got)
		}
	}
}

func TestFindSecrets(t *testing.T) {
	t.Parallel()
	p, s := NewPassword(), NewClientSecret()
	basic := base64.StdEncoding.EncodeToString([]byte("ci-reader:" + p))
	docker := `{"auths": {"r.example": {"auth": "` + basic + `"}}}`
	wrong := []byte(p)
	wrong[3] ^= 1
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"bare":                {p, []string{p}},
		"twice":               {p + "\n" + p, []string{p}},
		"in a setting":        {"PASSWORD=" + p + "\nSECRET='" + s + "'", []string{p, s}},
		"in letters":          {"xyz" + p + "abc", []string{p}},
		"in a URL":            {"https://ci:" + url.QueryEscape(p) + "@r.example/v2/?s=" + url.QueryEscape(s), []string{p, s}},
		"Basic":               {"Authorization: Basic " + basic, []string{p}},
		"docker":              {docker, []string{p}},
		"Kubernetes":          {".dockerconfigjson: " + base64.StdEncoding.EncodeToString([]byte(docker)), []string{p}},
		"without padding":     {base64.RawURLEncoding.EncodeToString([]byte(docker)), []string{p}},
		"three times encoded": {base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(docker)))), nil},
		"mistyped":            {string(wrong), nil},
		"cut off":             {p[:51], nil},
		"the mark alone":      {"+ACR 8Q~ +ACR+ACR", nil},
		"nothing":             {"", nil},
	} {
		if got := FindSecrets(tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		got, err := ReadSecrets(iotest.OneByteReader(strings.NewReader(tt.text)), 10)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s, read: %q, %v, want %q", name, got, err, tt.want)
		}
	}
}

// A text of many pages is read, wherever in it the secret lies and whatever is around it.
func TestReadSecrets(t *testing.T) {
	t.Parallel()
	p := NewPassword()
	for _, filler := range []string{"a line of a log\n", "AAAA"} {
		for at := 256<<10 - 120; at < 256<<10+8; at += 4 {
			pad := strings.Repeat(filler, at/len(filler)+1)[:at]
			got, err := ReadSecrets(strings.NewReader(pad+" "+p+" "+pad), 10)
			if err != nil || !slices.Equal(got, []string{p}) {
				t.Fatalf("behind %d bytes of %q: %q, %v", at, filler, got, err)
			}
			got, err = ReadSecrets(strings.NewReader(pad+p+pad), 10)
			if err != nil || !slices.Equal(got, []string{p}) {
				t.Fatalf("within, behind %d bytes of %q: %q, %v", at, filler, got, err)
			}
		}
	}
	many := ""
	for range 20 {
		many += NewPassword() + "\n"
	}
	if got, err := ReadSecrets(strings.NewReader(many), 10); err != nil || len(got) != 10 {
		t.Errorf("%d of 20 for at most 10, %v", len(got), err)
	}
	if _, err := ReadSecrets(iotest.ErrReader(io.ErrClosedPipe), 10); err != io.ErrClosedPipe {
		t.Errorf("%v", err)
	}
}

func FuzzFindSecrets(f *testing.F) {
	f.Add("PASSWORD=" + NewPassword())
	f.Add("%2BACR" + base64.StdEncoding.EncodeToString([]byte(NewClientSecret())))
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range FindSecrets(text) {
			if got := FindSecrets(s); !slices.Equal(got, []string{s}) {
				t.Errorf("%q was found in %q and is none: %q", s, text, got)
			}
		}
	})
}
