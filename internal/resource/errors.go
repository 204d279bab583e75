package resource

import (
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// The finer names that the management API gives to failures (control plane, section 15).
var (
	notFound             = fault.Code{Kind: fault.NotFound, Name: "ResourceNotFound"}
	groupNotFound        = fault.Code{Kind: fault.NotFound, Name: "ResourceGroupNotFound"}
	parentNotFound       = fault.Code{Kind: fault.NotFound, Name: "ParentResourceNotFound"}
	subscriptionNotFound = fault.Code{Kind: fault.NotFound, Name: "SubscriptionNotFound"}
	nameInUse            = fault.Code{Kind: fault.Exists, Name: "RegistryNameAlreadyInUse"}
	adminDisabled        = fault.Code{Kind: fault.Conflict, Name: "UnAuthorizedForCredentialOperations"}
	inUse                = fault.Code{Kind: fault.Conflict, Name: "ResourceInUse"}
	notAllowed           = fault.Code{Kind: fault.Disallowed, Name: "OperationNotAllowed"}
	quotaExceeded        = fault.Code{Kind: fault.Disallowed, Name: "QuotaExceeded"}
	wrongTier            = fault.Code{Kind: fault.Invalid, Name: "FeatureNotSupportedForSku"}
	publicAccessTier     = fault.Code{Kind: fault.Invalid, Name: "DisablingPublicNetworkAccessNotSupported"}
	wrongLocation        = fault.Code{Kind: fault.Conflict, Name: "InvalidResourceLocation"}
	badLocation          = fault.Code{Kind: fault.Invalid, Name: "LocationNotAvailableForResourceType"}

	roleUnknown         = fault.Code{Kind: fault.NotFound, Name: "RoleDefinitionDoesNotExist"}
	roleExists          = fault.Code{Kind: fault.Exists, Name: "RoleDefinitionWithSameNameExists"}
	roleInUse           = fault.Code{Kind: fault.Conflict, Name: "RoleDefinitionHasAssignments"}
	roleBuiltIn         = fault.Code{Kind: fault.Denied, Name: "RoleDefinitionUpdateNotPermitted"}
	roleScope           = fault.Code{Kind: fault.Invalid, Name: "InvalidAssignableScope"}
	assignmentExists    = fault.Code{Kind: fault.Exists, Name: "RoleAssignmentExists"}
	assignmentUnknown   = fault.Code{Kind: fault.NotFound, Name: "RoleAssignmentNotFound"}
	assignmentFixed     = fault.Code{Kind: fault.Invalid, Name: "RoleAssignmentUpdateNotPermitted"}
	principalUnknown    = fault.Code{Kind: fault.Invalid, Name: "PrincipalNotFound"}
	principalType       = fault.Code{Kind: fault.Invalid, Name: "UnmatchedPrincipalType"}
	conditionNotAllowed = fault.Code{Kind: fault.Invalid, Name: "InvalidCondition"}
)

// Of what lies in a registry and acts as an identity, or is bound to a token.
var (
	linkedDenied    = fault.Code{Kind: fault.Denied, Name: "LinkedAuthorizationFailed"}
	offlineChildren = fault.Code{Kind: fault.Conflict, Name: "ConnectedRegistryHasOfflineChildren"}
)

// Of operations.
var (
	operationNotFound  = fault.Code{Kind: fault.NotFound, Name: "OperationNotFound"}
	groupClosing       = fault.Code{Kind: fault.Conflict, Name: "ResourceGroupBeingDeleted"}
	operationAbandoned = fault.Code{Kind: fault.Internal, Name: "OperationAbandoned"}
)

// Of registries.
var (
	wrongConnection = fault.Code{Kind: fault.Conflict, Name: "PrivateEndpointConnectionDisconnected"}
	immutable       = fault.Code{Kind: fault.Invalid, Name: "PropertyChangeNotAllowed"}
	notAvailable    = fault.Code{Kind: fault.Unsupported, Name: "FeatureNotAvailable"}
)

// Of encryption and key vaults.
var (
	encryptionFixed  = fault.Code{Kind: fault.Invalid, Name: "EncryptionCannotBeChanged"}
	encryptionBlocks = fault.Code{Kind: fault.Invalid, Name: "BlockedForEncryptionEnabledRegistry"}
	keyDenied        = fault.Code{Kind: fault.Invalid, Name: "KeyVaultKeyNotAccessible"}
	vaultNameTaken   = fault.Code{Kind: fault.Exists, Name: "VaultAlreadyExists"}
)

// Of imports.
var exportsDisabled = fault.Code{Kind: fault.Disallowed, Name: "ExportPolicyDisabled"}

// Of locks and tags.
var (
	scopeLocked      = fault.Code{Kind: fault.Disallowed, Name: "ScopeLocked"}
	lockUnknown      = fault.Code{Kind: fault.NotFound, Name: "LockNotFound"}
	invalidLockScope = fault.Code{Kind: fault.Invalid, Name: "InvalidLockScope"}
	noTags           = fault.Code{Kind: fault.Invalid, Name: "TagsNotSupported"}
)

// missing is what is said of a resource that is not there.
func missing(id arm.ID) error {
	if id.Provider == arm.Resources && id.Type() == "resourcegroups" {
		return missingGroup(id.Name())
	}
	if _, nested := id.Parent(); nested || id.Group == "" {
		return fault.New(notFound, "The Resource '%s' was not found.", id)
	}
	return fault.New(notFound, "The Resource '%s/%s/%s' under resource group '%s' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
		id.Provider, id.Types[0], id.Name(), id.Group)
}

func missingParent(parent arm.ID) error {
	return fault.New(parentNotFound, "Failed to perform the requested operation on a nested resource: parent resource '%s' was not found.", parent.Name())
}

func missingGroup(name string) error {
	return fault.New(groupNotFound, "Resource group '%s' could not be found.", name)
}

func closingGroup(id arm.ID) error {
	return fault.New(groupClosing, "The resource group '%s' is in deprovisioning state and cannot perform this operation.", id.Group)
}

func missingSubscription(id string) error {
	return fault.New(subscriptionNotFound, "The subscription '%s' could not be found.", id)
}

// Of custom domains.
var (
	domainInUse    = fault.Code{Kind: fault.Exists, Name: "CustomDomainInUse"}
	domainReserved = fault.Code{Kind: fault.Invalid, Name: "CustomDomainReserved"}
)
