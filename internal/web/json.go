package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
)

var (
	jsonType = []string{"application/json; charset=utf-8"}
	buffers  = sync.Pool{New: func() any { return new(bytes.Buffer) }}
)

// WriteJSON answers with v, a newline after it, and its length. A Content-Type that is set already stays.
// An error says that v has no JSON form, and nothing was written.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	buf := buffers.Get().(*bytes.Buffer)
	buf.Reset()
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write %T as JSON: %w", v, err)
	}
	h := w.Header()
	if h["Content-Type"] == nil {
		h["Content-Type"] = jsonType
	}
	h["Content-Length"] = []string{strconv.Itoa(buf.Len())}
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // a client that went away is noticed by net/http
	if buf.Cap() <= 64<<10 {
		buffers.Put(buf)
	}
	return nil
}
