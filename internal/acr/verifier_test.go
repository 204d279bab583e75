package acr_test

import (
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
)

func TestVerifier(t *testing.T) {
	t.Parallel()
	chosen, generated := acr.PasswordVerifier("pass$word"), acr.SecretVerifier("pass$word")
	for _, v := range []string{chosen, generated} {
		if !acr.VerifySecret(v, "pass$word") || acr.VerifySecret(v, "pass$wor") || acr.VerifySecret(v, "") {
			t.Errorf("%s does not tell secrets apart", v)
		}
		if strings.Contains(v, "pass$word") || v == acr.SecretVerifier("pass$word") {
			t.Errorf("%s is not salted, or holds the secret", v)
		}
		for _, broken := range []string{"", "$$$", v[1:], v + "$", strings.Replace(v, "$", "$0", 1), strings.Replace(v, "$", "$99999999999", 1)} {
			if broken != v && acr.VerifySecret(broken, "pass$word") && !strings.Contains(broken, "$01$") && !strings.Contains(broken, "$0600000$") {
				t.Errorf("%q fits", broken)
			}
		}
	}
	if !acr.SlowVerifier(chosen) || acr.SlowVerifier(generated) {
		t.Error("which verifier is slow is told wrongly")
	}
}
