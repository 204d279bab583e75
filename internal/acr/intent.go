package acr

// EmptyRegistry promises to remove the contents of a registry that was deleted.
type EmptyRegistry struct {
	Registry int64 `json:"registry"` // its row's number
}

// Kind names the handler.
func (EmptyRegistry) Kind() string { return "registry.empty" }
