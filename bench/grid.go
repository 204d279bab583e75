package main

import (
	"strings"
	"unicode/utf8"
)

// grid is a table of text; its first columns are set to the left, the rest to the right.
type grid struct {
	head []string
	rows [][]string
	left int
}

func (g grid) widths() []int {
	w := make([]int, len(g.head))
	for _, row := range append([][]string{g.head}, g.rows...) {
		for i, s := range row {
			w[i] = max(w[i], utf8.RuneCountInString(s))
		}
	}
	return w
}

func (g grid) pad(i int, s string, width int) string {
	space := strings.Repeat(" ", width-utf8.RuneCountInString(s))
	if i < g.left {
		return s + space
	}
	return space + s
}

// text is for a terminal.
func (g grid) text() string {
	var b strings.Builder
	w := g.widths()
	for _, row := range append([][]string{g.head}, g.rows...) {
		cells := make([]string, len(row))
		for i, s := range row {
			cells[i] = g.pad(i, s, w[i])
		}
		b.WriteString(strings.TrimRight(strings.Join(cells, "  "), " ") + "\n")
	}
	return b.String()
}

// markdown is for a page; its columns line up in the source as well.
func (g grid) markdown() string {
	var b strings.Builder
	w := g.widths()
	line := func(cell func(i int) string) {
		b.WriteString("|")
		for i := range g.head {
			b.WriteString(" " + cell(i) + " |")
		}
		b.WriteString("\n")
	}
	for i := range w {
		w[i] = max(w[i], 3)
	}
	line(func(i int) string { return g.pad(i, g.head[i], w[i]) })
	line(func(i int) string {
		if i < g.left {
			return strings.Repeat("-", w[i])
		}
		return strings.Repeat("-", w[i]-1) + ":"
	})
	for _, row := range g.rows {
		line(func(i int) string { return g.pad(i, strings.ReplaceAll(row[i], "|", `\|`), w[i]) })
	}
	return b.String()
}
