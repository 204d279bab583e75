package meta

import (
	"context"
	"embed"
	"fmt"
	"path"
	"strings"
	"text/template"
)

//go:embed migrations/*.sql
var migrations embed.FS

// climb takes the store up the ladder: each step once, in its own transaction, under a lock. A store that stands
// higher than this program knows is refused.
func (db *DB) climb(ctx context.Context) error {
	steps, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	s, err := db.session(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := db.step(ctx, s, func() error {
		return s.run(ctx, "CREATE TABLE IF NOT EXISTS ladder (step BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)")
	}); err != nil {
		return err
	}
	for i, f := range steps {
		if err := db.step(ctx, s, func() error { return db.apply(ctx, s, i+1, f.Name()) }); err != nil {
			return fmt.Errorf("migration %s: %w", f.Name(), err)
		}
	}
	var top int
	if _, err := s.one(ctx, "SELECT COALESCE(MAX(step), 0) FROM ladder", nil, &top); err != nil {
		return err
	}
	if top > len(steps) {
		return fmt.Errorf("the store was written by a newer acre (step %d, this one knows %d): start that one", top, len(steps))
	}
	return nil
}

func (db *DB) step(ctx context.Context, s *session, fn func() error) error {
	if err := s.run(ctx, db.d.begin); err != nil {
		return err
	}
	if db.d.lockLadder != "" {
		if err := s.run(ctx, db.d.lockLadder); err != nil {
			return err
		}
	}
	if err := fn(); err != nil {
		return err // the session is thrown away, and the transaction with it
	}
	return s.run(ctx, "COMMIT")
}

func (db *DB) apply(ctx context.Context, s *session, number int, name string) error {
	var done int
	if _, err := s.one(ctx, "SELECT COUNT(*) FROM ladder WHERE step = ?", []any{number}, &done); err != nil || done > 0 {
		return err
	}
	text, err := migrations.ReadFile(path.Join("migrations", name))
	if err != nil {
		return err
	}
	t, err := template.New(name).Parse(string(text))
	if err != nil {
		return err
	}
	var sql strings.Builder
	if err := t.Execute(&sql, db.d.words); err != nil {
		return err
	}
	for statement := range strings.SplitSeq(withoutComments(sql.String()), ";") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if err := s.run(ctx, statement); err != nil {
			return fmt.Errorf("%.60s: %w", strings.TrimSpace(statement), err)
		}
	}
	return s.run(ctx, "INSERT INTO ladder (step, name) VALUES (?, ?)", number, name)
}

func withoutComments(sql string) string {
	var b strings.Builder
	for line := range strings.Lines(sql) {
		code, _, _ := strings.Cut(line, "--")
		b.WriteString(strings.TrimRight(code, "\n") + "\n")
	}
	return b.String()
}
