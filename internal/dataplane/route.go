package dataplane

import (
	"net/http"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// kind is what a path names.
type kind int

const (
	unknown kind = iota
	ping
	catalog
	tagList
	manifest
	blob
	uploads // where uploads begin
	upload
	referrers
	repository   // /acr/v1/<name>
	tagInfos     // /acr/v1/<name>/_tags
	tag          // /acr/v1/<name>/_tags/<tag>
	manifests    // /acr/v1/<name>/_manifests
	manifestInfo // /acr/v1/<name>/_manifests/<digest>
	values       // /acr/v1/<name>/_metadata, and below a tag or a manifest
	value        // …/_metadata/<key>
	token
	exchange
)

// route is a path, taken apart. Nothing in it is checked yet.
type route struct {
	kind kind
	repo string
	ref  string // tag, digest or upload
	of   kind   // what values are kept with: repository, tag or manifestInfo
	key  string // of a value
}

// operation is what a method does to a kind of path.
type operation struct {
	name string // for metrics and the access line
	open bool   // needs no credentials of the usual kind: gives out tokens
	do   func(*Face, *request, http.ResponseWriter, *http.Request) error

	event acr.AuditOperation // as what the audit records it; "" = not at all
}

var operations = map[kind]map[string]operation{
	ping:      {"GET": {name: "ping", do: (*Face).ping}, "HEAD": {name: "ping", do: (*Face).ping}},
	catalog:   {"GET": {name: "catalog", do: (*Face).catalog}},
	tagList:   {"GET": {name: "tags", do: (*Face).tags}},
	referrers: {"GET": {name: "referrers", do: (*Face).referrers}},
	repository: {
		"GET":    {name: "repository_get", do: (*Face).repository},
		"PATCH":  {name: "repository_patch", do: (*Face).patchRepository},
		"DELETE": {name: "repository_delete", do: (*Face).deleteRepository, event: acr.DeleteOperation},
	},
	tagInfos: {"GET": {name: "tag_list", do: (*Face).tagInfos}},
	tag: {
		"GET":    {name: "tag_get", do: (*Face).tag},
		"PATCH":  {name: "tag_patch", do: (*Face).patchTag},
		"DELETE": {name: "tag_delete", do: (*Face).deleteTag, event: acr.UntagOperation},
	},
	manifests: {"GET": {name: "manifest_list", do: (*Face).manifestInfos}},
	manifestInfo: {
		"GET":   {name: "manifest_info", do: (*Face).manifestInfo},
		"PATCH": {name: "manifest_patch", do: (*Face).patchManifest},
	},
	values: {"GET": {name: "metadata_list", do: (*Face).values}},
	value: {
		"GET":    {name: "metadata_get", do: (*Face).value},
		"PUT":    {name: "metadata_put", do: (*Face).putValue},
		"DELETE": {name: "metadata_delete", do: (*Face).deleteValue},
	},
	token: {
		"GET":  {name: "token", open: true, do: (*Face).tokenByGet},
		"POST": {name: "token", open: true, do: (*Face).tokenByPost},
	},
	exchange: {"POST": {name: "exchange", open: true, do: (*Face).exchange}},
	manifest: {
		"GET":    {name: "manifest_get", do: (*Face).manifest, event: acr.PullOperation},
		"HEAD":   {name: "manifest_head", do: (*Face).manifest},
		"PUT":    {name: "manifest_put", do: (*Face).putManifest, event: acr.PushOperation},
		"DELETE": {name: "manifest_delete", do: (*Face).deleteManifest, event: acr.DeleteOperation},
	},
	blob: {
		"GET":    {name: "blob_get", do: (*Face).blob},
		"HEAD":   {name: "blob_head", do: (*Face).headBlob},
		"DELETE": {name: "blob_delete", do: (*Face).deleteBlob},
	},
	uploads: {"POST": {name: "upload_start", do: (*Face).startUpload}},
	upload: {
		"GET":    {name: "upload_status", do: (*Face).uploadStatus},
		"PATCH":  {name: "upload_patch", do: (*Face).patchUpload},
		"PUT":    {name: "upload_put", do: (*Face).putUpload},
		"DELETE": {name: "upload_cancel", do: (*Face).cancelUpload},
	},
}

var errNoRoute = fault.New(fault.NotFound, "")

// parse takes a decoded path apart from its end, for a repository's name may hold any of the words. A path is never
// "cleaned": clients send %2F and mean it.
func parse(path string) route {
	if p, ok := strings.CutPrefix(path, "/v2"); ok && (p == "" || p[0] == '/') {
		return parseV2(p)
	}
	if p, ok := strings.CutPrefix(path, "/acr/v1/"); ok {
		return parseACR(p)
	}
	switch path {
	case "/oauth2/token":
		return route{kind: token}
	case "/oauth2/exchange":
		return route{kind: exchange}
	}
	return route{}
}

func parseV2(p string) route {
	switch p {
	case "", "/":
		return route{kind: ping}
	case "/_catalog":
		return route{kind: catalog}
	}
	rest, last := cutLast(p[1:])
	rest, word := cutLast(rest)
	if word == "uploads" {
		if repo, ok := strings.CutSuffix(rest, "/blobs"); ok {
			if last == "" {
				return route{kind: uploads, repo: repo}
			}
			return route{kind: upload, repo: repo, ref: last}
		}
	}
	switch {
	case rest == "" || last == "":
		return route{}
	case word == "manifests":
		return route{kind: manifest, repo: rest, ref: last}
	case word == "blobs" && last == "uploads":
		return route{kind: uploads, repo: rest}
	case word == "blobs":
		return route{kind: blob, repo: rest, ref: last}
	case word == "tags" && last == "list":
		return route{kind: tagList, repo: rest}
	case word == "referrers":
		return route{kind: referrers, repo: rest, ref: last}
	}
	return route{}
}

// parseACR cuts at the first word that begins with _, which no repository's name holds.
func parseACR(p string) route {
	if p == "_catalog" {
		return route{kind: catalog}
	}
	if p == "" || p[0] == '_' {
		return route{}
	}
	repo, rest, ok := strings.Cut(p, "/_")
	if !ok {
		return route{kind: repository, repo: p}
	}
	word, rest, below := strings.Cut(rest, "/")
	to := route{kind: repository, repo: repo}
	switch {
	case word == "metadata":
		return parseValue(to, rest, below)
	case word == "tags" && !below:
		return route{kind: tagInfos, repo: repo}
	case word == "manifests" && !below:
		return route{kind: manifests, repo: repo}
	case word == "tags":
		to.kind = tag
	case word == "manifests":
		to.kind = manifestInfo
	default:
		return route{}
	}
	ref, rest, more := strings.Cut(rest, "/")
	to.ref = ref
	if ref == "" {
		return route{}
	}
	if !more {
		return to
	}
	word, key, below := strings.Cut(rest, "/")
	if word != "_metadata" {
		return route{}
	}
	return parseValue(to, key, below)
}

// parseValue is the route of what is kept with owner: all of it, or what a key names.
func parseValue(owner route, key string, named bool) route {
	owner.of, owner.kind, owner.key = owner.kind, values, key
	if named {
		owner.kind = value
	}
	if named && key == "" {
		return route{}
	}
	return owner
}

// cutLast cuts at the last slash.
func cutLast(p string) (rest, last string) {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i], p[i+1:]
	}
	return "", p
}
