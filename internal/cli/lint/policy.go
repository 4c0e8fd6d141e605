package lint

import (
	"fmt"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/charts"
)

// policyRules are the ids of the admission policy's validations, in its order.
var policyRules = []string{
	"no-expiry", "anonymous-consumer", "any-namespace", "clear-text-route", "pinned-key-rotates", "rare-rotation", "short-overlap",
}

// resourceOf are the kinds that the policy is about, by the name that it knows them under.
var resourceOf = map[string]string{
	v1alpha1.KindJwtConsumer: "jwtconsumers", v1alpha1.KindJwtProtectedService: "jwtprotectedservices",
}

// policy is the chart's ValidatingAdmissionPolicy, compiled: the very expressions that the API server evaluates.
type policy struct {
	variables   []named
	validations []validation
}

type named struct {
	name    string
	program cel.Program
}

type validation struct {
	rule    string
	holds   cel.Program
	message string
	// say makes the message where the policy has an expression for it.
	say cel.Program
}

// newPolicy compiles a policy's variables and validations. ids are those of the validations.
func newPolicy(content []byte, ids []string) (*policy, error) {
	var source struct {
		Variables   []struct{ Name, Expression string }
		Validations []struct{ Expression, Message, MessageExpression string }
	}
	if err := yaml.UnmarshalStrict(content, &source); err != nil {
		return nil, fmt.Errorf("read the admission policy: %w", err)
	}
	if len(source.Validations) != len(ids) {
		return nil, fmt.Errorf("the admission policy has %d validations, and %d have an id", len(source.Validations), len(ids))
	}
	environment, err := cel.NewEnv(ext.Strings(),
		cel.Variable("object", cel.DynType), cel.Variable("request", cel.DynType), cel.Variable("variables", cel.MapType(cel.StringType, cel.DynType)))
	if err != nil {
		return nil, fmt.Errorf("prepare CEL: %w", err)
	}
	compile := func(expression string) cel.Program {
		if err != nil || expression == "" {
			return nil
		}
		ast, issues := environment.Compile(expression)
		if issues.Err() != nil {
			err = fmt.Errorf("compile %q: %w", expression, issues.Err())
			return nil
		}
		var program cel.Program
		program, err = environment.Program(ast)
		return program
	}
	p := &policy{}
	for _, v := range source.Variables {
		p.variables = append(p.variables, named{v.Name, compile(v.Expression)})
	}
	for i, v := range source.Validations {
		p.validations = append(p.validations, validation{ids[i], compile(v.Expression), v.Message, compile(v.MessageExpression)})
	}
	return p, err
}

// chartPolicy is the one that the chart installs.
func chartPolicy() (*policy, error) { return newPolicy(charts.Warnings, policyRules) }

// findings are what the API server would warn of when the object is applied.
func (p *policy) findings(kind string, object map[string]any) ([]Finding, error) {
	resource, known := resourceOf[kind]
	if !known {
		return nil, nil
	}
	// The policy may read spec as it is with its defaults; what has none has an empty one.
	if object["spec"] == nil {
		object = map[string]any{"metadata": object["metadata"], "spec": map[string]any{}}
	}
	variables := map[string]any{}
	input := map[string]any{
		"object": object, "variables": variables,
		"request": map[string]any{"operation": "CREATE", "resource": map[string]any{"resource": resource}},
	}
	for _, v := range p.variables {
		value, _, err := v.program.Eval(input)
		if err != nil {
			return nil, fmt.Errorf("the policy's variable %s: %w", v.name, err)
		}
		variables[v.name] = value
	}
	var found []Finding
	for _, v := range p.validations {
		holds, _, err := v.holds.Eval(input)
		if err != nil {
			return nil, fmt.Errorf("rule %s: %w", v.rule, err)
		}
		if holds.Value() == true {
			continue
		}
		message := v.message
		if v.say != nil {
			said, _, err := v.say.Eval(input)
			if err != nil {
				return nil, fmt.Errorf("rule %s: %w", v.rule, err)
			}
			message = fmt.Sprint(said.Value())
		}
		found = append(found, Finding{Rule: v.rule, Severity: Warning, Message: message})
	}
	return slices.Clip(found), nil
}

// Warnings are the texts that the chart's admission policy has for an object that is created, in its order: what the
// API server says at kubectl apply where the policy is installed.
func Warnings(object map[string]any) ([]string, error) {
	p, err := chartPolicy()
	if err != nil {
		return nil, err
	}
	kind, _ := object["kind"].(string)
	found, err := p.findings(kind, object)
	var texts []string
	for _, f := range found {
		texts = append(texts, f.Message)
	}
	return texts, err
}
