package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/doorstep-id/doorstep/policy"
)

const (
	// mostCost is what one condition may cost, in CEL's units: an ordinary one costs some
	// tens.
	mostCost = 10_000
	// mostCondition is the length of the longest condition, in bytes.
	mostCondition = 2000
	// mostDepth is how deep it may be nested.
	mostDepth = 32
)

// A variable is something that a condition may look at.
type variable struct {
	kind *cel.Type
	soft bool // it is a judgement: nobody is denied by it
	of   func(Case) any
}

var texts = cel.ListType(cel.StringType)

// variables are all of them; docs/policy.md tells of each.
var variables = map[string]variable{
	"client":      {kind: cel.StringType, of: func(c Case) any { return c.Facts.Client }},
	"scopes":      {kind: texts, of: func(c Case) any { return c.Facts.Scopes }},
	"resources":   {kind: texts, of: func(c Case) any { return c.Facts.Resources }},
	"acr_asked":   {kind: texts, of: func(c Case) any { return c.Facts.ACRAsked }},
	"groups":      {kind: texts, of: func(c Case) any { return c.Facts.Groups }},
	"zones":       {kind: texts, of: func(c Case) any { return c.Facts.Zones }},
	"country":     {kind: cel.StringType, of: func(c Case) any { return c.Facts.CountryOf }},
	"device_tier": {kind: cel.StringType, of: func(c Case) any { return string(c.Facts.DeviceTier) }},
	"first_time":  {kind: cel.BoolType, of: func(c Case) any { return c.Facts.FirstTime }},
	"breached":    {kind: cel.BoolType, soft: true, of: func(c Case) any { return c.Facts.Breached }},
	"level":       {kind: cel.StringType, soft: true, of: func(c Case) any { return string(c.Level) }},
	"score":       {kind: cel.DoubleType, soft: true, of: func(c Case) any { return c.Score }},
	"signals":     {kind: texts, soft: true, of: func(c Case) any { return codes(c.Signals) }},
}

func codes(signals []policy.Signal) []string {
	out := make([]string, len(signals))
	for i, s := range signals {
		out[i] = s.Code
	}
	return out
}

// environment is that of all conditions; it is made once.
var environment = func() *cel.Env {
	options := []cel.EnvOption{cel.ParserExpressionSizeLimit(mostCondition), cel.ParserRecursionLimit(mostDepth)}
	for name, v := range variables {
		options = append(options, cel.Variable(name, v.kind))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		panic("rules: " + err.Error()) // it depends on nothing but this file
	}
	return env
}()

// condition compiles what a rule says under when. One that denies may not look at what is
// a judgement.
func condition(text string, denies bool) (Condition, *cel.Ast, error) {
	if len(text) > mostCondition {
		return nil, nil, fmt.Errorf("must have at most %d bytes", mostCondition)
	}
	checked, issues := environment.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, nil, err
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, nil, fmt.Errorf("must be true or false, not a %s", checked.OutputType())
	}
	soft := slices.DeleteFunc(slices.Compact(variablesIn(checked)), func(name string) bool { return !variables[name].soft })
	if denies && len(soft) > 0 {
		return nil, nil, fmt.Errorf("must not deny by %v: ask for more proof, or rest on a fact", soft)
	}
	program, err := environment.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(mostCost))
	if err != nil {
		return nil, nil, err
	}
	return func(c Case) (bool, error) {
		out, _, err := program.Eval(activation{c})
		if err != nil {
			return false, err
		}
		holds, ok := out.(types.Bool)
		if !ok {
			return false, errNotBool
		}
		return bool(holds), nil
	}, checked, nil
}

var errNotBool = errors.New("rules: a condition is neither true nor false")

// variablesIn are those that a condition looks at, in order.
func variablesIn(checked *cel.Ast) []string {
	var names []string
	root := ast.NavigateAST(checked.NativeRep())
	for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.IdentKind)) {
		if name := global(e); variables[name].kind != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// global is the name of a variable of ours; one that a comprehension hides is written with
// a dot before it.
func global(e ast.Expr) string { return strings.TrimPrefix(e.AsIdent(), ".") }

// zonesIn are the zones that a condition names, as `"name" in zones`: a name that is none
// would never hold, in silence, so that there is no other way to ask.
func zonesIn(checked *cel.Ast) (names []string, err error) {
	root := ast.NavigateAST(checked.NativeRep())
	for _, e := range ast.MatchDescendants(root, ast.FunctionMatcher(operators.In)) {
		args := e.AsCall().Args()
		if args[1].Kind() != ast.IdentKind || global(args[1]) != "zones" || args[0].Kind() != ast.LiteralKind {
			continue
		}
		if name, ok := args[0].AsLiteral().Value().(string); ok {
			names = append(names, name)
		}
	}
	asked := slices.DeleteFunc(variablesIn(checked), func(name string) bool { return name != "zones" })
	if len(asked) != len(names) {
		return nil, errors.New(`must ask for zones one by one: "name" in zones`)
	}
	return names, nil
}

// activation gives a condition its variables, those that it asks for.
type activation struct{ c Case }

var _ cel.Activation = activation{}

func (a activation) ResolveName(name string) (any, bool) {
	v, ok := variables[name]
	if !ok {
		return nil, false
	}
	return v.of(a.c), true
}

func (a activation) Parent() cel.Activation { return nil }
