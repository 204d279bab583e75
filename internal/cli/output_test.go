package cli

import "testing"

// What strangers call themselves stays on its line, and gives the terminal no orders.
func TestCell(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		v    any
		want string
	}{
		{"Käse 日本 🧀", "Käse 日本 🧀"},
		{"a\tb\r\nc", "a b  c"},
		{"\x1b[2J\x07x\x7f", "\ufffd[2J\ufffdx\ufffd"},
		{"\u009b31mx\u202egpj.exe", "\ufffd31mx\ufffdgpj.exe"},
		{[]any{"a\x1b", 1, nil}, "a\ufffd,1,"},
		{nil, ""},
	} {
		if got := cell(tt.v); got != tt.want {
			t.Errorf("%q is shown as %q, want %q", tt.v, got, tt.want)
		}
	}
}
