package content

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// An upload's ID proves by itself that this installation began the upload, when, and for which repository, so that
// beginning one writes nothing: a row comes with the first pause. It reads random-time-signature.

// newUploadID names an upload that begins now.
func (r Registry) newUploadID(repo string) string {
	return r.signUpload(repo, strings.ToLower(rand.Text())+"-"+strconv.FormatInt(r.s.db.Now().Unix(), 36))
}

// UploadBegun tells when an upload of the repository began; ok is false for an ID that was not given out for it. The ID
// says so to whoever has it, so no right is asked for.
func (r Registry) UploadBegun(repo, id string) (at time.Time, ok bool) {
	i := strings.LastIndexByte(id, '-')
	if i < 0 || !hmac.Equal([]byte(id), []byte(r.signUpload(repo, id[:i]))) {
		return time.Time{}, false
	}
	_, begun, _ := strings.Cut(id[:i], "-")
	seconds, err := strconv.ParseInt(begun, 36, 64)
	return time.Unix(seconds, 0), err == nil
}

func (r Registry) signUpload(repo, begun string) string {
	mac := hmac.New(sha256.New, r.s.uploadKey)
	fmt.Fprintf(mac, "%d %s %s", r.id, repo, begun)
	return begun + "-" + hex.EncodeToString(mac.Sum(nil)[:12])
}
