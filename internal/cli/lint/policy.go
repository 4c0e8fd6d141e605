package lint

import (
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/charts"
	"github.com/kongjwt/kong-jwt-operator/internal/schema"
)

// policyRules are the ids of the admission policy's validations, in its order.
var policyRules = []string{
	"no-expiry", "anonymous-consumer", "any-namespace", "issuers-without-audience", "clear-text-route", "pinned-key-rotates",
	"rare-rotation", "short-overlap",
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

// findings are what the API server would warn of when the object, as it admits it, is applied. Each of failed is a
// rule that could not be evaluated.
func (p *policy) findings(kind string, admitted map[string]any) (found, failed []Finding) {
	resource, known := resourceOf[kind]
	if !known {
		return nil, nil
	}
	// The policy may read spec as it is with its defaults; what has none has an empty one.
	if admitted["spec"] == nil {
		admitted = map[string]any{"metadata": admitted["metadata"], "spec": map[string]any{}}
	}
	variables := map[string]any{}
	input := map[string]any{
		"object": admitted, "variables": variables,
		"request": map[string]any{"operation": "CREATE", "resource": map[string]any{"resource": resource}},
	}
	for _, v := range p.variables {
		value, _, err := v.program.Eval(input)
		if err != nil { // it fails the rules alone that use it, as in the API server
			value = types.WrapErr(fmt.Errorf("variable %s: %w", v.name, err))
		}
		variables[v.name] = value
	}
	for _, v := range p.validations {
		message, err := v.violation(input)
		switch {
		case err != nil:
			failed = append(failed, Finding{v.rule, Warning, fmt.Sprintf("spec: the rule cannot be evaluated: %s", err)})
		case message != "":
			found = append(found, Finding{v.rule, Warning, message})
		}
	}
	return found, failed
}

// violation is the message of a validation that does not hold; empty where it holds.
func (v validation) violation(input map[string]any) (string, error) {
	holds, _, err := v.holds.Eval(input)
	if err != nil || holds.Value() == true {
		return "", err
	}
	if v.say == nil {
		return v.message, nil
	}
	said, _, err := v.say.Eval(input)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(said.Value()), nil
}

// Warnings are the texts that the chart's admission policy has for an object that is created, in its order: what the
// API server says at kubectl apply where the policy is installed.
func Warnings(object map[string]any) ([]string, error) {
	p, err := chartPolicy()
	if err != nil {
		return nil, err
	}
	kind, _ := object["kind"].(string)
	admitted, err := schema.Admitted(kind, object)
	if err != nil {
		return nil, err
	}
	found, failed := p.findings(kind, admitted)
	var texts []string
	for _, f := range append(found, failed...) {
		texts = append(texts, f.Message)
	}
	return texts, nil
}
