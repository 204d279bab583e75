package acr

// What acre serve --dev has from the start, which products and scripts rely on.
const (
	DevTenant       = "0000ac4e-0000-4000-8000-000000000001"
	DevSubscription = "0000ac4e-0000-4000-8000-000000000002"
	DevOwner        = "0000ac4e-0000-4000-8000-000000000003" // the client ID of a service principal that may do everything
	DevGroup        = "acre"
	DevPassword     = "acre"     // of the default registry's admin user
	DevSecret       = "acre-dev" // of all who are in the directory
)
