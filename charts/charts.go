// Package charts holds the files of the Helm chart that Go code reads too, so that there is one of each.
package charts

import "embed"

// Warnings are the validations of the chart's ValidatingAdmissionPolicy: CEL expressions and their messages.
//
//go:embed kong-jwt-operator/files/warnings.yaml
var Warnings []byte

// CRDs are the CustomResourceDefinitions, one a file of CRDDir.
//
//go:embed kong-jwt-operator/files/crds/*.yaml
var CRDs embed.FS

// CRDDir is where CRDs has its files.
const CRDDir = "kong-jwt-operator/files/crds"
