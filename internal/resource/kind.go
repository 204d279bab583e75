package resource

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Kind is a row of the table of kinds: how resources of one type are read, written and removed. Every method asks for the
// right to do it first: its operation is the type with /read, /write or /delete.
type Kind[R acr.Resource] struct {
	s        *Service
	provider string
	types    []string

	name     func(R) string           // as it was spelled when it was made
	group    func(R) string           // the group that it lies in; nil: none, or what its kind of ID says
	scope    func(id arm.ID) string   // what rights are asked on; nil: the ID
	tenant   bool                     // it belongs to the whole tenant: rights are asked on the subscription, where owners are
	system   func() []R               // what every parent has and nobody changes
	given    func(in Parent) []R      // what every parent has until somebody changes it; release refuses to remove it
	complete func(c *Change[R]) error // settles what the document leaves open, before it is written
	check    func(c *Change[R]) error // holds it against the rest of the store, once it is written
	release  func(c *Change[R]) error // refuses a removal, or takes along what goes with it; Old is what is removed
	used     bool                     // its last use is noted
	traits   func(r *R) traits        // where its tags are; nil: it has none

	// What takes longer than its answer. start says what a write leaves to be done: before it is written, so that New may say
	// that it waits. leave says the same of a removal, once it is done. The zero operation is none.
	start func(c *Change[R]) acr.Operation
	leave func(c *Change[R]) acr.Operation
	// drain refuses a removal that takes longer than its answer, once it is noted; where it is set, the resource stays, as Deleting, until
	// work has removed what lies in it and then calls drained. It keeps its Provisioning.
	drain func(c *Change[R]) error
	// lingers is how long it stays at least, then: for clients that fail where they do not find it as Deleting.
	lingers time.Duration
	// work does what an operation is for; it may be called again, beside another call too. An error that may pass has it tried
	// again, any other ends the operation. nil: nothing is left to do.
	work func(ctx context.Context, o acr.Operation) error
}

// Kept is a resource as it is kept.
type Kept[R acr.Resource] struct {
	ID      arm.ID // spelled as it was when it was made
	Doc     R
	Version int64  // 0 for what the system gives, and in lists
	In      Parent // the registry that it lies in, if it does

	LastUsed time.Time // of a token: when somebody logged in with it; zero where nobody did

	Operation *acr.Operation // that this change began
}

// Parent is the registry in which a resource lies.
type Parent struct {
	ID arm.ID
	acr.Registry
	version int64 // of the registry
}

// Change is a resource that is about to be written or removed.
type Change[R acr.Resource] struct {
	ctx context.Context
	tx  *meta.Tx
	ID  arm.ID
	Old *R // nil: it is new
	New R
	In  Parent
}

// Page is a part of a list: what comes after a resource, by ID, and how many of them at most.
type Page struct {
	After string // arm.ID.Key, or "" to begin
	Limit int    // 0: MaxPage
}

// MaxPage bounds a page.
const MaxPage = 1000

func (p Page) limit() int {
	if p.Limit <= 0 || p.Limit > MaxPage {
		return MaxPage
	}
	return p.Limit
}

// Operation is the kind's operation that ends in verb, such as read.
func (k *Kind[R]) Operation(verb string) string {
	return k.provider + "/" + strings.Join(k.types, "/") + "/" + verb
}

func (k *Kind[R]) allowed(ctx context.Context, id arm.ID, verb string) error {
	return auth.Policy{}.Control(ctx, k.scopeOf(id), k.Operation(verb))
}

// scopeOf is what rights to a resource are asked on.
func (k *Kind[R]) scopeOf(id arm.ID) string {
	switch {
	case k.tenant:
		return k.s.Scope()
	case k.scope != nil:
		return k.scope(id)
	}
	return id.String()
}

// Get reads a resource. Errors: fault.NotFound, of it or of what it lies in.
func (k *Kind[R]) Get(ctx context.Context, id arm.ID) (Kept[R], error) {
	if err := k.allowed(ctx, id, "read"); err != nil {
		return Kept[R]{}, err
	}
	var kept Kept[R]
	err := k.s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
		kept, err = k.get(tx, id)
		return err
	})
	return kept, err
}

func (k *Kind[R]) get(tx *meta.Tx, id arm.ID) (Kept[R], error) {
	in, err := k.s.parent(tx, id)
	if err != nil {
		return Kept[R]{}, err
	}
	if k.system != nil {
		for _, r := range k.system() {
			if strings.EqualFold(k.name(r), id.Name()) {
				return Kept[R]{ID: k.id(id, in, r), Doc: r, In: in}, nil
			}
		}
	}
	r, version, err := k.read(tx, id, in)
	if errors.Is(err, fault.NotFound) {
		return Kept[R]{}, missing(id)
	}
	if err != nil {
		return Kept[R]{}, err
	}
	kept := Kept[R]{ID: k.id(id, in, r), Doc: r, Version: version, In: in}
	if k.used {
		kept.LastUsed, err = tx.LastUsed(id.Key())
	}
	return kept, err
}

// read is the document of a resource and its version, 0 for what its parent is given. Errors: fault.NotFound.
func (k *Kind[R]) read(tx *meta.Tx, id arm.ID, in Parent) (R, int64, error) {
	r, version, err := meta.Get[R](tx, id)
	return k.orGiven(r, version, err, id, in)
}

// hold is read in a transaction that will write the resource.
func (k *Kind[R]) hold(tx *meta.Tx, id arm.ID, in Parent) (R, int64, error) {
	r, version, err := meta.Hold[R](tx, id)
	return k.orGiven(r, version, err, id, in)
}

func (k *Kind[R]) orGiven(r R, version int64, err error, id arm.ID, in Parent) (R, int64, error) {
	if k.given != nil && errors.Is(err, fault.NotFound) {
		for _, r := range k.given(in) {
			if strings.EqualFold(k.name(r), id.Name()) {
				return r, 0, nil
			}
		}
	}
	return r, version, err
}

// id is the resource's ID as it is shown.
func (k *Kind[R]) id(asked arm.ID, in Parent, r R) arm.ID {
	if reg, ok := any(r).(acr.Registry); ok {
		return k.s.IDOf(reg)
	}
	if in.Name != "" {
		id, last := in.ID, len(k.types)-1
		for i := 1; i < last; i++ {
			id = id.Child(k.types[i], asked.Names[i])
		}
		return id.Child(k.types[last], k.name(r))
	}
	id := arm.ID{Provider: k.provider, Types: k.types[len(k.types)-1:], Names: []string{k.name(r)}}
	if asked.Subscription != "" {
		id.Subscription = k.s.installation.Subscription
	}
	if k.group != nil {
		id.Group = k.group(r)
	}
	return id
}

// List reads resources below a parent: a registry, for what lies in one, else a group, a subscription or the tenant, by
// their IDs. Only those are in it that the caller may read; more is where to go on, "" at the end.
// Errors: fault.NotFound of the parent.
func (k *Kind[R]) List(ctx context.Context, parent string, p Page) (list []Kept[R], more string, err error) {
	scope := parent
	if k.tenant {
		scope = k.s.Scope()
	}
	whole := auth.Policy{}.Control(ctx, scope, k.Operation("read"))
	if whole != nil && (k.tenant || !k.s.reaches(ctx, scope)) {
		return nil, "", whole
	}
	err = k.s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
		list, more, err = k.list(ctx, tx, parent, p, whole == nil)
		return err
	})
	return list, more, err
}

func (k *Kind[R]) list(ctx context.Context, tx *meta.Tx, parent string, p Page, whole bool) (list []Kept[R], more string, err error) {
	in, inside, err := k.s.listed(tx, parent)
	if err != nil {
		return nil, "", err
	}
	if k.system != nil && p.After == "" {
		for _, r := range k.system() {
			list = append(list, Kept[R]{ID: k.id(inside, in, r), Doc: r, In: in})
		}
	}
	if p.After == "" {
		if list, err = k.untouched(ctx, tx, list, inside, in, whole); err != nil {
			return nil, "", err
		}
	}
	docs, err := meta.ListUnder[R](tx, arm.CleanScope(parent), p.After, p.limit()+1)
	if err != nil {
		return nil, "", err
	}
	if len(docs) > p.limit() {
		docs = docs[:p.limit()]
		more = k.id(inside, in, docs[len(docs)-1]).Key()
	}
	for _, r := range docs {
		kept := Kept[R]{ID: k.id(inside, in, r), Doc: r, In: in}
		if !whole && k.allowed(ctx, kept.ID, "read") != nil {
			continue
		}
		list = append(list, kept)
	}
	if k.used && len(list) > 0 {
		used, err := tx.UsedBetween(list[0].ID.Key(), list[len(list)-1].ID.Key())
		if err != nil {
			return nil, "", err
		}
		for i := range list {
			list[i].LastUsed = used[list[i].ID.Key()]
		}
	}
	return list, more, nil
}

// untouched adds what the parent is given and nobody has changed.
func (k *Kind[R]) untouched(ctx context.Context, tx *meta.Tx, list []Kept[R], inside arm.ID, in Parent, whole bool) ([]Kept[R], error) {
	if k.given == nil {
		return list, nil
	}
	for _, r := range k.given(in) {
		id := k.id(inside, in, r)
		_, version, err := k.read(tx, id, in)
		if err != nil {
			return nil, err
		}
		if version == 0 && (whole || k.allowed(ctx, id, "read") == nil) {
			list = append(list, Kept[R]{ID: id, Doc: r, In: in})
		}
	}
	return list, nil
}

// How says what Put does with what is there, or is not.
type How int

// Ways to write a resource.
const (
	CreateOrUpdate How = iota
	CreateOnly         // fault.Exists where it is there
	UpdateOnly         // fault.NotFound where it is not
)

// Put is PutIf without a condition.
func (k *Kind[R]) Put(ctx context.Context, id arm.ID, how How, edit func(r *R, isNew bool) error) (kept Kept[R], created bool, err error) {
	return k.PutIf(ctx, id, how, Match{}, edit)
}

// PutIf writes a resource: edit changes what is there, or, where nothing is, an empty document; created tells which. It may
// be called more than once. Who writes at the same time waits, and edits what the other made of it. Errors: edit's, what the
// kind's rules say, fault.Precondition, fault.NotFound of what it lies in.
func (k *Kind[R]) PutIf(ctx context.Context, id arm.ID, how How, match Match, edit func(r *R, isNew bool) error) (kept Kept[R], created bool, err error) {
	if err := k.allowed(ctx, id, "write"); err != nil {
		return Kept[R]{}, false, err
	}
	if err := k.reserved(id); err != nil {
		return Kept[R]{}, false, err
	}
	return k.put(ctx, id, how, match, edit)
}

func (k *Kind[R]) put(ctx context.Context, id arm.ID, how How, match Match, edit func(r *R, isNew bool) error) (kept Kept[R], created bool, err error) {
	for again := true; again; {
		err = k.s.opt.DB.Update(ctx, func(tx *meta.Tx) (err error) {
			again = false
			w := write[R]{k: k, c: &Change[R]{ctx: ctx, tx: tx, ID: id}, how: how, match: match, edit: edit}
			kept, created, err = w.do()
			again = w.moved || w.raced && how == CreateOrUpdate
			return err
		})
	}
	if err == nil && k.s.settledAtOnce(ctx, kept.Operation) {
		kept, err = k.settled(ctx, id, kept)
	}
	return kept, created, err
}

// write is a PutIf under way.
type write[R acr.Resource] struct {
	k     *Kind[R]
	c     *Change[R]
	how   How
	match Match
	edit  func(r *R, isNew bool) error

	version int64
	begun   acr.Operation
	raced   bool // somebody else made it meanwhile
	moved   bool // somebody else changed what it lies in meanwhile
}

func (w *write[R]) do() (kept Kept[R], created bool, err error) {
	k, c := w.k, w.c
	if created, err = w.read(); err != nil {
		return Kept[R]{}, false, err
	}
	for _, step := range []func() error{
		func() error { return w.edit(&c.New, created) },
		func() error { return k.complete(c) },
		w.start,
		w.put,
		w.still, // from here on no other change runs beside this one
		func() error { return k.unlocked(c, "write") },
		func() error { return k.check(c) },
	} {
		if err := step(); err != nil {
			return Kept[R]{}, false, err
		}
	}
	kept = Kept[R]{ID: k.id(c.ID, c.In, c.New), Doc: c.New, Version: w.version + 1, In: c.In}
	if w.begun.Name != "" {
		w.begun.On, kept.Operation = kept.ID.String(), &w.begun
		err = k.s.begin(c.tx, &w.begun)
	}
	c.tx.OnCommit(k.s.opt.Registries.Forget)
	return kept, created, err
}

// read reads what is there, and holds it against the conditions.
func (w *write[R]) read() (created bool, err error) {
	k, c := w.k, w.c
	var closing bool
	if c.In, closing, err = k.s.around(c.tx, c.ID); err != nil {
		return false, err
	}
	old, version, err := k.hold(c.tx, c.ID, c.In)
	created = errors.Is(err, fault.NotFound)
	switch {
	case closing:
		return false, closingGroup(c.ID)
	case created && w.how == UpdateOnly:
		return false, missing(c.ID)
	case err == nil && w.how == CreateOnly:
		return false, fault.New(fault.Exists, "%s %s exists already", k.types[len(k.types)-1], c.ID.Name())
	case err != nil && !created:
		return false, err
	}
	if !created {
		c.Old, c.New, w.version = &old, old, version
	}
	return created, w.match.holds(c.ID, etag(old, version))
}

// start notes in the document that it waits for what is left to be done.
func (w *write[R]) start() error {
	if w.k.start == nil {
		if p, ok := any(&w.c.New).(acr.Provisioned); ok && p.Provisions().State == acr.Failed {
			*p.Provisions() = acr.Provisioning{} // what failed was a removal: it is there, and done
		}
		return nil
	}
	o := w.k.start(w.c)
	if o.Verb == "" {
		return nil
	}
	if o.Status == "" {
		o.Status = acr.Creating
		if w.c.Old != nil {
			o.Status = acr.Updating
		}
	}
	w.begun = w.k.operation(w.c.ctx, w.c.ID, o)
	if p, ok := any(&w.c.New).(acr.Provisioned); ok {
		*p.Provisions() = acr.Provisioning{State: o.Status, Operation: w.begun.Name}
	}
	return nil
}

func (w *write[R]) put() error {
	err := meta.Put(w.c.tx, w.c.ID, w.c.New, w.version)
	w.raced = w.version == 0 && errors.Is(err, fault.Exists)
	return err
}

// still reads again what it lies in, by which the document was settled: that must be there still, and the same.
func (w *write[R]) still() error {
	in, closing, err := w.k.s.around(w.c.tx, w.c.ID)
	switch {
	case err != nil:
		return err
	case closing:
		return closingGroup(w.c.ID)
	}
	if w.moved = in.version != w.c.In.version; w.moved {
		return fault.New(fault.Precondition, "registry %s was changed meanwhile: read it again", in.Name)
	}
	return nil
}

// Removal is how a resource is removed.
type Removal struct {
	Match   Match
	Tracked bool // there is an operation to ask how it ended, even where it is done at once

	drained bool // nothing lies in it any more
}

// Removed tells what became of a removal.
type Removed struct {
	Existed   bool
	Operation *acr.Operation
}

// Delete is Remove for who does not ask how.
func (k *Kind[R]) Delete(ctx context.Context, id arm.ID) (existed bool, err error) {
	removed, err := k.Remove(ctx, id, Removal{})
	return removed.Existed, err
}

// Remove removes a resource. Errors: fault.Conflict where it is in use, fault.Precondition, fault.NotFound of what it lies in.
func (k *Kind[R]) Remove(ctx context.Context, id arm.ID, how Removal) (removed Removed, err error) {
	if err := k.allowed(ctx, id, "delete"); err != nil {
		return Removed{}, err
	}
	if err := k.reserved(id); err != nil {
		return Removed{}, err
	}
	err = k.s.opt.DB.Update(ctx, func(tx *meta.Tx) (err error) {
		removed, err = k.remove(&Change[R]{ctx: ctx, tx: tx, ID: id}, how)
		return err
	})
	if err == nil && k.s.settledAtOnce(ctx, removed.Operation) {
		removed.Operation, err = k.s.reread(ctx, removed.Operation)
	}
	return removed, err
}

func (k *Kind[R]) remove(c *Change[R], how Removal) (removed Removed, err error) {
	if c.In, err = k.s.parent(c.tx, c.ID); err != nil {
		return removed, err
	}
	old, version, err := k.hold(c.tx, c.ID, c.In)
	there := !errors.Is(err, fault.NotFound)
	if err != nil && there {
		return removed, err
	}
	if err := how.Match.holds(c.ID, etag(old, version)); err != nil || !there {
		return removed, err
	}
	c.Old = &old
	if k.drain != nil && !how.drained {
		return k.drains(c, version)
	}
	removed.Existed = true
	if version > 0 {
		if _, err := meta.Delete(c.tx, c.ID); err != nil {
			return removed, err
		}
	}
	c.tx.OnCommit(k.s.opt.Registries.Forget)
	if err := k.unlocked(c, "delete"); err != nil {
		return removed, err
	}
	if err := k.release(c); err != nil {
		return removed, err
	}
	o := acr.Operation{}
	if k.leave != nil {
		o = k.leave(c)
	}
	switch {
	case o.Verb != "":
	case how.Tracked:
		o = acr.Operation{Verb: acr.OnDelete, Status: acr.Succeeded}
	default:
		return removed, nil
	}
	if o.Status == "" {
		o.Status = acr.Deleting
	}
	o = k.operation(c.ctx, c.ID, o)
	o.On, removed.Operation = k.id(c.ID, c.In, old).String(), &o
	return removed, k.s.begin(c.tx, &o)
}

// drains begins a removal: who asks for it again gets the same operation.
func (k *Kind[R]) drains(c *Change[R], version int64) (removed Removed, err error) {
	c.New = *c.Old
	p := any(&c.New).(acr.Provisioned).Provisions()
	if p.State == acr.Deleting {
		o, _, err := meta.Get[acr.Operation](c.tx, acr.OperationID(p.Operation))
		return Removed{true, &o}, err
	}
	o := k.operation(c.ctx, c.ID, acr.Operation{Verb: acr.OnDelete, Status: acr.Deleting})
	if k.lingers > 0 {
		o.NotBefore = o.StartedAt.Add(k.lingers)
	}
	o.On, *p = k.id(c.ID, c.In, c.New).String(), acr.Provisioning{State: acr.Deleting, Operation: o.Name}
	if err := meta.Put(c.tx, c.ID, c.New, version); err != nil {
		return removed, err
	}
	if err := k.unlocked(c, "delete"); err != nil {
		return removed, err
	}
	if err := k.drain(c); err != nil {
		return removed, err
	}
	return Removed{true, &o}, k.s.begin(c.tx, &o)
}

// unlocked refuses what a lock forbids.
func (k *Kind[R]) unlocked(c *Change[R], verb string) error {
	if k.tenant {
		return nil
	}
	return k.s.unlocked(c.ctx, c.tx, k.scopeOf(c.ID), verb, verb == "delete")
}

// drained removes a resource in which nothing lies any more.
func (k *Kind[R]) drained(ctx context.Context, id arm.ID) error {
	return k.s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		_, err := k.remove(&Change[R]{ctx: ctx, tx: tx, ID: id}, Removal{drained: true})
		return err
	})
}

// reserved refuses to change what the system gives.
func (k *Kind[R]) reserved(id arm.ID) error {
	if k.system == nil {
		return nil
	}
	for _, r := range k.system() {
		if strings.EqualFold(k.name(r), id.Name()) {
			return fault.New(notAllowed, "The %s '%s' is system-defined: it cannot be changed or deleted.", strings.TrimSuffix(k.types[len(k.types)-1], "s"), id.Name())
		}
	}
	return nil
}

// stamp says who changes a resource now.
func (s *Service) stamp(ctx context.Context, data *acr.SystemData) {
	auth.Stamp(ctx, s.opt.DB.Now(), data)
}
