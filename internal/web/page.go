package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// Bounds of a page.
const (
	DefaultPage = 100
	MaxPage     = 1000
)

// Page is what a request for a list asks for.
type Page struct {
	Limit   int    // 0 to MaxPage
	Last    string // the name to go on after; it need not exist
	OrderBy string // as sent; what it means is the list's own matter
}

// ParsePage reads n, last and orderby. n is DefaultPage where it is absent, at most MaxPage.
// Errors: PAGINATION_NUMBER_INVALID where n is no number of 0 or more.
func ParsePage(q url.Values) (Page, error) {
	p := Page{Limit: DefaultPage, Last: q.Get("last"), OrderBy: q.Get("orderby")}
	text := q.Get("n")
	if text == "" {
		return p, nil
	}
	if strings.Trim(text, "0123456789") != "" {
		return Page{}, fault.New(fault.PaginationInvalid, "page size n=%.40q is not valid: give a number of 0 or more", text)
	}
	n, err := strconv.Atoi(text)
	if err != nil { // digits only, so it is too large for an int
		n = MaxPage
	}
	p.Limit = min(n, MaxPage)
	return p, nil
}

// NextLink is the Link header that leads to the page after last: relative, the path as the client encoded it, every
// parameter as key=value and a space as %20, which is all that some clients can read. Parameters of the request
// named in keep stay.
func NextLink(r *http.Request, p Page, last string, keep ...string) string {
	var b strings.Builder
	b.WriteByte('<')
	b.WriteString(r.URL.EscapedPath())
	b.WriteString("?last=")
	b.WriteString(escape(last))
	b.WriteString("&n=")
	b.WriteString(strconv.Itoa(p.Limit))
	b.WriteString("&orderby=")
	b.WriteString(escape(p.OrderBy))
	if len(keep) > 0 {
		q := r.URL.Query()
		for _, key := range keep {
			for _, value := range q[key] {
				b.WriteString("&" + escape(key) + "=" + escape(value))
			}
		}
	}
	b.WriteString(`>; rel="next"`)
	return b.String()
}

func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
