package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"github.com/acre-registry/acre/internal/fault"
)

// operator speaks HTTP over the socket of the server on a data directory.
type operator struct {
	dir    string
	client *http.Client
	stop   func()
}

// operator connects to the server on the data directory; where none runs, the stores are opened in this process for
// as long as the operator is.
func (a *app) operator(ctx context.Context) (*operator, error) {
	dir := a.dataDir()
	socket := filepath.Join(dir, "acre.sock")
	op := &operator{dir: dir, stop: func() {}, client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	switch {
	case err == nil:
		return op, conn.Close()
	case !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED):
		return nil, fault.New(fault.Unavailable, "the server on %s cannot be reached: %w", dir, err)
	case a.Offline == nil:
		return nil, noServer(dir)
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil, noServer(dir) // not to be made by looking
	}
	if op.stop, err = a.Offline(ctx, dir); err != nil {
		return nil, fmt.Errorf("open the stores of %s: %w", dir, err)
	}
	return op, nil
}

func noServer(dir string) error {
	return fault.New(fault.Unavailable, "no server runs on the data directory %s: start one with acre serve --data %s, or name another with --data", dir, dir)
}

func (o *operator) close() {
	o.client.CloseIdleConnections()
	o.stop()
}

// send sends body as JSON, nil for none, and wants success. The caller closes the answer.
func (o *operator) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://operator"+path, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := o.client.Do(req)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the server on %s broke off: %w", o.dir, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, o.refused(resp)
}

func (o *operator) refused(resp *http.Response) error {
	var body struct {
		Error struct {
			Kind, Message string
		} `json:"error"`
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	if err != nil || body.Error.Message == "" {
		body.Error.Message = fmt.Sprintf("the server on %s answered %s", o.dir, resp.Status)
	}
	return fault.New(kindNamed(body.Error.Kind), "%s", body.Error.Message)
}

// call is send with the answer's JSON read into out.
func (o *operator) call(ctx context.Context, method, path string, body, out any) error {
	resp, err := o.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(out); err != nil {
		return fault.New(fault.Unavailable, "the answer of the server on %s cannot be read: %w", o.dir, err)
	}
	return nil
}

// event is a line of a long operation.
type event struct {
	Phase   string          `json:"phase"`
	Done    int             `json:"done"`
	Total   int             `json:"total"`
	Item    string          `json:"item"`
	Bytes   int64           `json:"bytes"`
	Problem string          `json:"problem"`
	Result  json.RawMessage `json:"result"`
	Error   *struct {
		Kind    string `json:"kind"`
		Message string `json:"message"`
	} `json:"error"`
}

// follow runs a long operation and gives its result; each is told every line before.
func (o *operator) follow(ctx context.Context, path string, body any, each func(event)) (json.RawMessage, error) {
	resp, err := o.send(ctx, http.MethodPost, path, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fault.New(fault.Unavailable, "the server on %s sent a line that cannot be read: %w", o.dir, err)
		}
		switch {
		case e.Error != nil:
			return nil, fault.New(kindNamed(e.Error.Kind), "%s", e.Error.Message)
		case e.Result != nil:
			return e.Result, nil
		}
		each(e)
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return nil, fault.New(fault.Unavailable, "the server on %s broke off before a result: %w", o.dir, err)
}

// kindNamed is the kind with that text; Internal where there is none.
func kindNamed(name string) fault.Kind {
	for _, k := range fault.Kinds() {
		if k.Error() == name {
			return k
		}
	}
	return fault.Internal
}
