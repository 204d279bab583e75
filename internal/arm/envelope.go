package arm

// List is a page of a collection. NextLink is absolute, and absent on the last page.
type List[T any] struct {
	Value    []T    `json:"value"`
	NextLink string `json:"nextLink,omitempty"`
}

// ErrorBody is how a failure is answered.
type ErrorBody struct {
	Error  ErrorDetail `json:"error"`
	Status string      `json:"status,omitempty"` // "Failed" where the registry's provider answers
}

// ErrorDetail is what clients read of one.
type ErrorDetail struct {
	Code    string        `json:"code"`
	Message string        `json:"message"`
	Target  string        `json:"target,omitempty"`
	Details []ErrorDetail `json:"details,omitempty"`
}
