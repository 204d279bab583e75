package acr

import (
	"encoding/json"
	"time"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// Operation is a call of the management API that may take longer than its answer. It is kept until clients have had time
// to ask how it ended.
type Operation struct {
	Name  string          `json:"name"`  // the innermost type in lower case, a dash, a GUID
	Type  string          `json:"type"`  // of the resource, with its provider: Microsoft.ContainerRegistry/registries
	On    string          `json:"on"`    // the resource's ID
	Scope string          `json:"scope"` // where the right to read the resource also reads the operation
	Verb  string          `json:"verb"`  // OnWrite, OnDelete, or the name of an action
	Args  json.RawMessage `json:"args,omitempty"`

	Status  OperationStatus `json:"status"`
	Failure *Failure        `json:"failure,omitempty"` // of one that failed
	Secret  bool            `json:"secret,omitempty"`  // its work needs what is sealed under SecretName, until it has ended

	Progress *ImportProgress `json:"progress,omitempty"` // of an import

	By        string    `json:"by"`    // the object ID of who began it, else a name
	Actor     string    `json:"actor"` // the name, for the audit
	Request   string    `json:"request"`
	StartedAt time.Time `json:"startedAt"`
	NotBefore time.Time `json:"notBefore,omitzero"` // it is gone on with
	EndedAt   time.Time `json:"endedAt,omitzero"`
}

// Verbs of operations that are no action.
const (
	OnWrite  = "write"
	OnDelete = "delete"
)

// OperationStatus is how far an operation is.
type OperationStatus string

// Statuses: the last three are final.
const (
	Creating  OperationStatus = "Creating"
	Updating  OperationStatus = "Updating"
	Deleting  OperationStatus = "Deleting"
	Running   OperationStatus = "Running" // of an action
	Succeeded OperationStatus = "Succeeded"
	Failed    OperationStatus = "Failed"
	Canceled  OperationStatus = "Canceled"
)

// Ended tells whether the status is final.
func (s OperationStatus) Ended() bool { return s == Succeeded || s == Failed || s == Canceled }

// SecretName is under which name an operation's secret is kept.
func (o Operation) SecretName() string { return "operation/" + o.Name }

// OperationID is where an operation is kept: not below its resource, which it may outlive.
func OperationID(name string) arm.ID { return arm.Tenant(arm.Provider, "operationStatuses", name) }

// ResourceType names the documents.
func (Operation) ResourceType() string { return "operationStatuses" }

// Validate checks what operations are found and continued by.
func (o Operation) Validate() error {
	if o.Name == "" || o.Type == "" || o.On == "" || o.Verb == "" || o.Status == "" {
		return fault.New(fault.Internal, "operation %.60q lacks a type, a resource, a verb or a status", o.Name)
	}
	return nil
}

// Failure is an error that is kept, to be told later.
type Failure struct {
	Kind    string `json:"kind"` // by its name
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
}

// FailureOf keeps of an error what callers may see.
func FailureOf(err error) *Failure {
	e := fault.Of(err)
	return &Failure{e.Kind.Error(), e.Code, e.Message}
}

// Err is the error again.
func (f Failure) Err() error {
	e := &fault.Error{Code: f.Code, Message: f.Message}
	for _, k := range fault.Kinds() {
		if k.Error() == f.Kind {
			e.Kind = k
		}
	}
	return e
}

// Provisioning is how far a resource is whose changes take longer than their answer. A document that has it takes part by
// the method Provisions; the zero value is a resource that is done.
type Provisioning struct {
	State     OperationStatus `json:"state,omitempty"`
	Operation string          `json:"operation,omitempty"` // the one that it waits for, or that ended last
	Failure   *Failure        `json:"failure,omitempty"`
}

// Shown is the state on the wire.
func (p Provisioning) Shown() string {
	if p.State == "" {
		return string(Succeeded)
	}
	return string(p.State)
}

// Provisioned is a document that keeps how far it is.
type Provisioned interface {
	// Provisions points to it.
	Provisions() *Provisioning
}

// RunOperation promises to go on with an operation until it has ended.
type RunOperation struct {
	Name string `json:"name"`
}

// Kind names the handler.
func (RunOperation) Kind() string { return "operation.run" }
