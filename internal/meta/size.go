package meta

import "math/rand/v2"

// resize notes that a registry's blobs have more bytes, or fewer.
func (tx *Tx) resize(registry, bytes int64) error {
	if bytes == 0 {
		return nil
	}
	_, err := tx.exec("INSERT INTO size_change (registry, id, bytes) VALUES (?, ?, ?)", registry, rand.Int64(), bytes)
	return err
}

// Size is how many bytes a registry's blobs have, each counted once.
func (tx *Tx) Size(registry int64) (int64, error) {
	var bytes int64
	_, err := tx.one(`SELECT CAST(COALESCE((SELECT bytes FROM size WHERE registry = ?), 0)
		+ COALESCE((SELECT SUM(bytes) FROM size_change WHERE registry = ?), 0) AS BIGINT)`, []any{registry, registry}, &bytes)
	return bytes, err
}

// FoldSizes adds at most limit changes of sizes to what they change, so that Size has little to add up; folded is how many.
func (tx *Tx) FoldSizes(limit int) (folded int, err error) {
	sums := map[int64]int64{}
	var order []int64
	err = tx.each(`DELETE FROM size_change WHERE (registry, id) IN (SELECT registry, id FROM size_change ORDER BY registry, id LIMIT ?)
		RETURNING registry, bytes`, []any{limit}, func(scan func(...any) error) error {
		var registry, bytes int64
		err := scan(&registry, &bytes)
		if _, known := sums[registry]; !known {
			order = append(order, registry)
		}
		sums[registry] += bytes
		folded++
		return err
	})
	for _, registry := range order {
		if err == nil {
			_, err = tx.exec("INSERT INTO size (registry, bytes) VALUES (?, ?) ON CONFLICT (registry) DO UPDATE SET bytes = size.bytes + excluded.bytes",
				registry, sums[registry])
		}
	}
	return folded, err
}

// MissizedBy counts a registry's blobs, all of them, and tells by how many bytes Size is less than they have. In a View it is
// exact, whatever goes on beside it; Resize by that much puts Size right.
func (tx *Tx) MissizedBy(registry int64) (int64, error) {
	kept, err := tx.Size(registry)
	if err != nil {
		return 0, err
	}
	var counted int64
	_, err = tx.one("SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM blob WHERE registry = ?", []any{registry}, &counted)
	return counted - kept, err
}

// Resize corrects Size by what MissizedBy found.
func (tx *Tx) Resize(registry, bytes int64) error { return tx.resize(registry, bytes) }
