package fault

// The codes of the distribution API (distribution-spec v1.1 "Error Codes") and of its ACR
// additions (docs of the data plane, section 1.9).
var (
	BlobUnknown         = Code{NotFound, "BLOB_UNKNOWN"}
	UploadInvalid       = Code{Invalid, "BLOB_UPLOAD_INVALID"}
	UploadUnknown       = Code{NotFound, "BLOB_UPLOAD_UNKNOWN"}
	DigestInvalid       = Code{Invalid, "DIGEST_INVALID"}
	ManifestBlobUnknown = Code{Invalid, "MANIFEST_BLOB_UNKNOWN"}
	ManifestInvalid     = Code{Invalid, "MANIFEST_INVALID"}
	ManifestTooLarge    = Code{TooLarge, "MANIFEST_INVALID"}
	ManifestUnknown     = Code{NotFound, "MANIFEST_UNKNOWN"}
	NameInvalid         = Code{Invalid, "NAME_INVALID"}
	NameUnknown         = Code{NotFound, "NAME_UNKNOWN"}
	PaginationInvalid   = Code{Invalid, "PAGINATION_NUMBER_INVALID"}
	RangeInvalid        = Code{OutOfRange, "RANGE_INVALID"}
	SizeInvalid         = Code{Invalid, "SIZE_INVALID"}
	BlobTooLarge        = Code{TooLarge, "SIZE_INVALID"}
	TagInvalid          = Code{Invalid, "TAG_INVALID"}
	TagUnknown          = Code{NotFound, "TAG_UNKNOWN"}
	OperationDisallowed = Code{Disallowed, "REGISTRY_DISALLOWED_OPERATION"}
)
