package acr

import (
	"net/netip"
	"time"

	"github.com/acre-registry/acre/internal/oci"
)

// Condition narrows a role assignment down (grammar version 2.0): to repositories, and beyond the original to tags,
// digests, source networks and times. See ParseCondition for what can be said.
type Condition struct{ root *conditionNode }

// Attributes are what a condition can ask of a request. What is empty is absent: each comparison with it is false,
// negative ones too.
type Attributes struct {
	Repository string
	Tag        string
	Digest     oci.Digest
	Source     netip.Addr
	Time       time.Time
}

// Holds tells whether the condition lets op, an operation such as
// Microsoft.ContainerRegistry/registries/repositories/content/read, be done. Nil holds always.
func (c *Condition) Holds(op string, at Attributes) bool {
	if c == nil {
		return true
	}
	return c.root.eval(&question{op: op, at: at}).yes
}

// Might tells whether Holds could say yes of the same request once more is known: the tag, the digest, and the repository
// where that is empty too. Tokens are given out by it; what they are used for is held against Holds.
func (c *Condition) Might(op string, at Attributes) bool {
	if c == nil {
		return true
	}
	return c.root.eval(&question{op: op, at: at, open: true}).yes
}

// Surely tells whether Holds says yes of the same request whatever of what Might leaves open is known in the end, so that
// who deletes by digest does not get around a condition on tags.
func (c *Condition) Surely(op string, at Attributes) bool {
	return c == nil || !c.root.eval(&question{op: op, at: at, open: true}).no
}

// question is what a condition is held against.
type question struct {
	op   string
	at   Attributes
	open bool // what is absent of the repository may still come
}

// answer is what a condition may come out as: exactly one of both, but where the question is open.
type answer struct{ yes, no bool }

func definite(b bool) answer { return answer{b, !b} }

// conditionNode is a node of the syntax tree.
type conditionNode struct {
	kind nodeKind
	kids []*conditionNode // of and, or: two and more; of not: one
	list []string         // of actionMatches: patterns
	comparison
}

type nodeKind uint8

const (
	andNode nodeKind = iota
	orNode
	notNode
	actionMatches
	subOperationMatches // blob storage has those; no operation here has one
	exists
	compares
)

func (n *conditionNode) eval(q *question) answer {
	switch n.kind {
	case andNode:
		out := answer{true, false}
		for _, k := range n.kids {
			a := k.eval(q)
			out = answer{out.yes && a.yes, out.no || a.no}
		}
		return out
	case orNode:
		out := answer{false, true}
		for _, k := range n.kids {
			a := k.eval(q)
			out = answer{out.yes || a.yes, out.no && a.no}
		}
		return out
	case notNode:
		a := n.kids[0].eval(q)
		return answer{a.no, a.yes}
	case actionMatches:
		return definite(matchesAny(n.list, q.op) || isCreate(q.op) && matchesAny(n.list, contentWrite))
	case exists:
		if n.absent(q) && q.open && n.attribute.ofRepository() {
			return answer{true, true}
		}
		return definite(!n.absent(q))
	case compares:
		return n.compare(q)
	}
	return definite(false)
}

// isCreate tells of repositories/content/create, which whatever is said of repositories/content/write holds for too: a
// condition that was written for the real service must not lose its grip on pushes.
func isCreate(op string) bool {
	return len(op) == len(contentCreate) && MatchOperation(contentCreate, op)
}

// attribute is something of the request.
type attribute uint8

const (
	nameAttribute attribute = iota
	tagAttribute
	digestAttribute
	sourceAttribute
	timeAttribute
)

func (a attribute) ofRepository() bool { return a <= digestAttribute }

// comparison holds an attribute against values. A set is compared with any or with all of its values.
type comparison struct {
	attribute attribute
	operator  operator
	all       bool // of a set, all values must compare
	text      []string
	nets      []netip.Prefix
	times     []time.Time
}

func (c *comparison) absent(q *question) bool {
	switch c.attribute {
	case nameAttribute:
		return q.at.Repository == ""
	case tagAttribute:
		return q.at.Tag == ""
	case digestAttribute:
		return q.at.Digest == ""
	case sourceAttribute:
		return !q.at.Source.IsValid()
	}
	return q.at.Time.IsZero()
}

func (c *comparison) compare(q *question) answer {
	if c.absent(q) {
		return answer{q.open && c.attribute.ofRepository(), true}
	}
	n := max(len(c.text), len(c.nets), len(c.times))
	for i := range n {
		if c.one(q, i) != c.all {
			return definite(!c.all)
		}
	}
	return definite(c.all)
}

// one holds the attribute against the set's value i.
func (c *comparison) one(q *question, i int) bool {
	var is bool
	switch c.attribute {
	case sourceAttribute:
		is = c.nets[i].Contains(q.at.Source.Unmap().WithZone(""))
	case timeAttribute:
		is = c.operator.order(q.at.Time.Compare(c.times[i]))
	default:
		is = c.operator.match(c.value(q), c.text[i])
	}
	return is != c.operator.negative
}

func (c *comparison) value(q *question) string {
	switch c.attribute {
	case nameAttribute:
		return q.at.Repository
	case tagAttribute:
		return q.at.Tag
	}
	return string(q.at.Digest)
}
