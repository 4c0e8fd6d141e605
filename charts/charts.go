// Package charts holds the files of the Helm chart that Go code reads too, so that there is one of each.
package charts

import _ "embed"

// Warnings are the validations of the chart's ValidatingAdmissionPolicy: CEL expressions and their messages.
//
//go:embed kong-jwt-operator/files/warnings.yaml
var Warnings []byte
