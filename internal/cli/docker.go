package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/ociclient"
)

// docker is docker's configuration file, with the credential helpers that it names.
type docker struct{ file string }

func (a *app) docker() docker {
	dir := a.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home := a.Getenv("HOME")
		if home == "" {
			home, _ = os.UserHomeDir() // without one, the file is looked for here
		}
		dir = filepath.Join(home, ".docker")
	}
	return docker{filepath.Join(dir, "config.json")}
}

// tokenUser is the user name under which helpers keep an identity token.
const tokenUser = "<token>"

// entry is a login server's member of auths.
type entry struct {
	Auth          string `json:"auth,omitempty"` // base64 of user:password
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
}

// settings are the members of the file that matter here; all others are kept as they are.
type settings struct {
	all     map[string]json.RawMessage
	auths   map[string]json.RawMessage
	store   string
	helpers map[string]string
}

func (d docker) read() (settings, error) {
	s := settings{all: map[string]json.RawMessage{}, auths: map[string]json.RawMessage{}}
	text, err := os.ReadFile(d.file)
	if os.IsNotExist(err) || err == nil && len(bytes.TrimSpace(text)) == 0 {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s.all)
	}
	for member, into := range map[string]any{"auths": &s.auths, "credsStore": &s.store, "credHelpers": &s.helpers} {
		if raw, ok := s.all[member]; ok && err == nil {
			err = json.Unmarshal(raw, into)
		}
	}
	if err != nil {
		return s, fault.New(fault.Invalid, "docker's configuration %s cannot be read: %w; mend it, or set DOCKER_CONFIG to another directory", d.file, err)
	}
	if s.all == nil {
		s.all = map[string]json.RawMessage{}
	}
	if s.auths == nil {
		s.auths = map[string]json.RawMessage{}
	}
	return s, nil
}

// helper is the program that keeps a login server's credentials; "" = the file does.
func (s settings) helper(host string) string {
	if h, ok := s.helpers[host]; ok {
		return h
	}
	return s.store
}

func program(helper string) client.ProgramFunc {
	return client.NewShellProgramFunc("docker-credential-" + helper)
}

// get finds a login server's credentials; none is no error. localhost and 127.0.0.1 are one server.
func (d docker) get(host string) (ociclient.Credential, error) {
	s, err := d.read()
	if err != nil {
		return ociclient.Credential{}, err
	}
	names := []string{host}
	if port, ok := strings.CutPrefix(host, "localhost:"); ok {
		names = append(names, "127.0.0.1:"+port)
	} else if port, ok := strings.CutPrefix(host, "127.0.0.1:"); ok {
		names = append(names, "localhost:"+port)
	}
	for _, name := range names {
		cred, err := d.find(s, name)
		if err != nil || cred != (ociclient.Credential{}) {
			return cred, err
		}
	}
	return ociclient.Credential{}, nil
}

func (d docker) find(s settings, host string) (ociclient.Credential, error) {
	if helper := s.helper(host); helper != "" {
		got, err := client.Get(program(helper), host)
		switch {
		case credentials.IsErrCredentialsNotFound(err):
			return ociclient.Credential{}, nil
		case err != nil:
			return ociclient.Credential{}, helperFailed(helper, err)
		case got.Username == tokenUser:
			return ociclient.Credential{RefreshToken: got.Secret}, nil
		}
		return ociclient.Credential{Username: got.Username, Password: got.Secret}, nil
	}
	raw, ok := s.auths[host]
	for key := range s.auths {
		if !ok && hostOf(key) == host { // older programs wrote https://host/v1/
			raw, ok = s.auths[key], true
		}
	}
	if !ok {
		return ociclient.Credential{}, nil
	}
	return d.decode(host, raw)
}

func hostOf(key string) string {
	_, rest, ok := strings.Cut(key, "://")
	if !ok {
		rest = key
	}
	host, _, _ := strings.Cut(rest, "/")
	return host
}

func (d docker) decode(host string, raw json.RawMessage) (ociclient.Credential, error) {
	var e entry
	err := json.Unmarshal(raw, &e)
	if err == nil && e.Auth != "" {
		var pair []byte
		if pair, err = base64.StdEncoding.DecodeString(e.Auth); err == nil {
			e.Username, e.Password, _ = strings.Cut(string(bytes.TrimRight(pair, "\x00")), ":")
		}
	}
	if err != nil {
		return ociclient.Credential{}, fault.New(fault.Invalid, "%s: the entry of %s cannot be read: %w; run acre login again", d.file, host, err)
	}
	if e.IdentityToken != "" {
		return ociclient.Credential{RefreshToken: e.IdentityToken}, nil
	}
	return ociclient.Credential{Username: e.Username, Password: e.Password}, nil
}

// put keeps a login server's credentials where docker would. plain tells that this is the file itself.
func (d docker) put(host, user string, cred ociclient.Credential) (plain bool, err error) {
	s, err := d.read()
	if err != nil {
		return false, err
	}
	e := entry{}
	helper := s.helper(host)
	if helper != "" {
		c := credentials.Credentials{ServerURL: host, Username: user, Secret: cred.Password}
		if cred.RefreshToken != "" {
			c.Username, c.Secret = tokenUser, cred.RefreshToken
		}
		if err := client.Store(program(helper), &c); err != nil {
			return false, helperFailed(helper, err)
		}
	} else {
		password := cred.Password
		if cred.RefreshToken != "" {
			e.IdentityToken, password = cred.RefreshToken, ""
		}
		e.Auth = base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return false, err
	}
	s.auths[host] = raw
	return helper == "", d.write(s)
}

// remove forgets a login server's credentials. found tells whether there were any.
func (d docker) remove(host string) (found bool, err error) {
	s, err := d.read()
	if err != nil {
		return false, err
	}
	_, found = s.auths[host]
	if helper := s.helper(host); helper != "" {
		_, err := client.Get(program(helper), host)
		if err == nil {
			found = true
			err = client.Erase(program(helper), host)
		}
		if err != nil && !credentials.IsErrCredentialsNotFound(err) {
			return found, helperFailed(helper, err)
		}
	}
	if _, ok := s.auths[host]; !ok {
		return found, nil
	}
	delete(s.auths, host)
	return found, d.write(s)
}

func helperFailed(helper string, err error) error {
	return fault.New(fault.Unavailable, "credential helper docker-credential-%s: %w; is it installed and on PATH?", helper, err)
}

// write replaces the file whole, so that nobody reads half of it, and follows a link to where it is kept.
func (d docker) write(s settings) error {
	var err error
	if s.all["auths"], err = json.Marshal(s.auths); err != nil {
		return err
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(s.all); err != nil {
		return err
	}
	if err := replaceFile(d.file, text.Bytes()); err != nil {
		return fmt.Errorf("write docker's configuration: %w", err)
	}
	return nil
}

// replaceFile writes a file whole, for its owner alone.
func replaceFile(file string, text []byte) (err error) {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	} else if !os.IsNotExist(err) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if rm := os.Remove(tmp.Name()); err == nil && rm != nil && !os.IsNotExist(rm) {
			err = rm
		}
	}()
	_, err = tmp.Write(text)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	return err
}
