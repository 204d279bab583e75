package meta

// LinkBlob makes a blob of the registry from, which is kept under an object, one of another registry's, too, and gives it to a
// repository there, idle as a push would: rows of both name the object, which stays until none does. found is false where from
// has no such blob any more. Errors: BLOB_UPLOAD_UNKNOWN where the object was litter at some time, and so cannot be shared.
func (tx *Tx) LinkBlob(registry int64, repo string, from int64, b Blob) (found bool, err error) {
	if err := tx.lockBlob(from, b.Digest); err != nil { // nobody is to take the object away meanwhile
		return false, err
	}
	if found, err = tx.HasBlob(from, b.Digest, b.Object); err != nil || !found {
		return false, err
	}
	_, added, err := tx.AddMember(registry, repo, b.Digest)
	if err != nil || added { // the registry has it, under this object or one of its own
		return true, err
	}
	if _, err := tx.PutBlob(registry, b.Digest, b.Size, b.Object, nil); err != nil {
		return true, err
	}
	_, _, err = tx.AddMember(registry, repo, b.Digest)
	return true, err
}
