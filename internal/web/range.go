package web

import (
	"strconv"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// ParseRange reads a Range header for content of size bytes: n bytes from off, clipped to the content. partial says
// whether the answer is a part (206). Without a header, with a unit other than bytes, or with several ranges, which
// a server may ignore (RFC 9110, 14.2), it is the whole. Errors: RANGE_INVALID where the range is malformed or
// begins beyond the content.
func ParseRange(header string, size int64) (off, n int64, partial bool, err error) {
	unit, spec, ok := strings.Cut(header, "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") || strings.Contains(spec, ",") {
		return 0, size, false, nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok {
		return 0, 0, false, rangeInvalid(header)
	}
	if first == "" {
		n, ok = offset(last)
		if !ok {
			return 0, 0, false, rangeInvalid(header)
		}
		if n == 0 || size == 0 {
			return 0, 0, false, rangeBeyond(header, size)
		}
		n = min(n, size)
		return size - n, n, true, nil
	}
	off, ok = offset(first)
	end := size - 1
	if ok && last != "" {
		end, ok = offset(last)
	}
	switch {
	case !ok:
		return 0, 0, false, rangeInvalid(header)
	case off >= size:
		return 0, 0, false, rangeBeyond(header, size)
	case end < off:
		return 0, 0, false, rangeInvalid(header)
	}
	return off, min(end, size-1) - off + 1, true, nil
}

// ContentRange is the header of an answer of n bytes from off.
func ContentRange(off, n, size int64) string {
	b := append(make([]byte, 0, 64), "bytes "...)
	b = strconv.AppendInt(b, off, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, off+n-1, 10)
	b = append(b, '/')
	b = strconv.AppendInt(b, size, 10)
	return string(b)
}

// ParseContentRange reads the Content-Range of an upload's chunk: "start-end", both inclusive, no unit
// (distribution-spec, "Pushing a blob in chunks"). The form of RFC 9110, "bytes start-end/size", will do too.
// Errors: RANGE_INVALID.
func ParseContentRange(header string) (off, n int64, err error) {
	spec := strings.TrimSpace(header)
	if len(spec) > 6 && strings.EqualFold(spec[:5], "bytes") && (spec[5] == ' ' || spec[5] == '=') {
		spec = spec[6:]
	}
	spec, _, _ = strings.Cut(spec, "/")
	first, last, _ := strings.Cut(spec, "-")
	off, ok := offset(first)
	end, endOK := offset(last)
	if !ok || !endOK || end < off {
		return 0, 0, fault.New(fault.RangeInvalid, "content range %.60q is not valid: give start-end, the positions of the chunk's first and last byte", header)
	}
	return off, end - off + 1, nil
}

// offset reads digits only; what exceeds an int64 becomes its largest value less one, so that a length fits too.
func offset(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	const largest = 1<<63 - 2
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		v = largest
	}
	return min(v, largest), true
}

func rangeInvalid(header string) error {
	return fault.New(fault.RangeInvalid, "range %.60q is not valid: give bytes=first-last, bytes=first- or bytes=-length", header)
}

func rangeBeyond(header string, size int64) error {
	return fault.New(fault.RangeInvalid, "range %.60q lies outside of the content's %d bytes", header, size)
}
