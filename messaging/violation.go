package messaging

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// describeViolation returns one line that names the field of an envelope that is
// wrong, and what is allowed. Of several faults it describes the outermost one and,
// among those, the first by name, so that equal bytes have equal descriptions.
func describeViolation(err error) string {
	var validation *jsonschema.ValidationError
	if !errors.As(err, &validation) {
		return "must match the schema of its kind"
	}
	fault := outermost(validation)
	path := fault.InstanceLocation
	if required, ok := fault.ErrorKind.(*kind.Required); ok {
		path = append(path[:len(path):len(path)], required.Missing[0])
	}
	rule := describeRule(fault.ErrorKind)
	if len(path) == 0 {
		return rule
	}
	return fieldPath(path) + ": " + rule
}

// outermost returns the fault to describe among err and its causes.
func outermost(err *jsonschema.ValidationError) *jsonschema.ValidationError {
	switch err.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		// The causes are the faults of the alternatives, none of which has to match.
		return err
	}
	best := err
	for i, cause := range err.Causes {
		if leaf := outermost(cause); i == 0 || before(leaf, best) {
			best = leaf
		}
	}
	return best
}

func before(a, b *jsonschema.ValidationError) bool {
	if len(a.InstanceLocation) != len(b.InstanceLocation) {
		return len(a.InstanceLocation) < len(b.InstanceLocation)
	}
	if left, right := fieldPath(a.InstanceLocation), fieldPath(b.InstanceLocation); left != right {
		return left < right
	}
	return describeRule(a.ErrorKind) < describeRule(b.ErrorKind)
}

// describeRule returns what a rule of a schema allows.
func describeRule(rule jsonschema.ErrorKind) string {
	switch rule := rule.(type) {
	case *kind.Required:
		return "is required"
	case *kind.Type:
		return fmt.Sprintf("must be of type %s, not %s", strings.Join(rule.Want, " or "), rule.Got)
	case *kind.Enum:
		return "must be one of " + listValues(rule.Want)
	case *kind.Const:
		return "must be " + listValues([]any{rule.Want})
	case *kind.MinLength:
		if rule.Want == 1 {
			return "must not be empty"
		}
		return fmt.Sprintf("must have at least %d characters", rule.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters", rule.Want)
	case *kind.Pattern:
		return fmt.Sprintf("must match %q", rule.Want)
	case *kind.Minimum:
		return "must be at least " + rule.Want.RatString()
	case *kind.Maximum:
		return "must be at most " + rule.Want.RatString()
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d items", rule.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d items", rule.Want)
	case *kind.AdditionalProperties:
		return "has a field that is not allowed"
	case *kind.FalseSchema:
		return "is not allowed"
	default:
		if keywords := rule.KeywordPath(); len(keywords) > 0 {
			return fmt.Sprintf("must satisfy %q of its schema", keywords[0])
		}
		return "must match its schema"
	}
}

// listValues returns values of a schema as a list in JSON.
func listValues(values []any) string {
	texts := make([]string, 0, len(values))
	for _, value := range values {
		text, err := json.Marshal(value)
		if err != nil {
			text = []byte(fmt.Sprint(value))
		}
		texts = append(texts, string(text))
	}
	return strings.Join(texts, ", ")
}

// maxPathParts and maxPartRunes bound the path of a field, whose parts may be names
// from the envelope.
const (
	maxPathParts = 6
	maxPartRunes = 48
)

// fieldPath joins the parts of a location with dots. Parts that are not plain names are
// quoted, so that the path is one line.
func fieldPath(location []string) string {
	var path strings.Builder
	for i, part := range location {
		if i > 0 {
			path.WriteByte('.')
		}
		if i == maxPathParts {
			path.WriteString("…")
			break
		}
		if isPlainName(part) {
			path.WriteString(part)
		} else {
			path.WriteString(strconv.Quote(firstRunes(part, maxPartRunes)))
		}
	}
	return path.String()
}

func isPlainName(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= maxPartRunes
}

func firstRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
