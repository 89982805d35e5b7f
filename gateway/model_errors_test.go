package gateway_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// What the gateway answers in place of an error that it never answers.
const (
	noStoreByAPI = "key stores are made and changed in the configuration alone: UnsupportedOperationException"
	noXKS        = "there are no external key stores: UnsupportedOperationException"
)

// unanswered are the errors of the model that the gateway answers nowhere, with the
// reason.
var unanswered = map[string]string{
	"CloudHsmClusterInUseException":                           noStoreByAPI,
	"CloudHsmClusterInvalidConfigurationException":            noStoreByAPI,
	"CloudHsmClusterNotActiveException":                       noStoreByAPI,
	"CloudHsmClusterNotFoundException":                        noStoreByAPI,
	"CloudHsmClusterNotRelatedException":                      noStoreByAPI,
	"CustomKeyStoreHasCMKsException":                          noStoreByAPI,
	"CustomKeyStoreNameInUseException":                        noStoreByAPI,
	"IncorrectTrustAnchorException":                           noStoreByAPI,
	"XksKeyAlreadyInUseException":                             noXKS,
	"XksKeyInvalidConfigurationException":                     noXKS,
	"XksKeyNotFoundException":                                 noXKS,
	"XksProxyIncorrectAuthenticationCredentialException":      noXKS,
	"XksProxyInvalidConfigurationException":                   noXKS,
	"XksProxyInvalidResponseException":                        noXKS,
	"XksProxyUriEndpointInUseException":                       noXKS,
	"XksProxyUriInUseException":                               noXKS,
	"XksProxyUriUnreachableException":                         noXKS,
	"XksProxyVpcEndpointServiceInUseException":                noXKS,
	"XksProxyVpcEndpointServiceInvalidConfigurationException": noXKS,
	"XksProxyVpcEndpointServiceNotFoundException":             noXKS,
}

// answered are the errors that the gateway's code, without its tests, names
// elsewhere than in the table of codes, and not to compare only.
func answered(t *testing.T) map[string]bool {
	t.Helper()
	names, used := make(map[string]string), make(map[string]bool)
	table := filepath.Join("api", "error.go")
	ast.Inspect(parsed(t, table), func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if value, ok := spec.Values[0].(*ast.BasicLit); ok {
				names[spec.Names[0].Name], _ = strconv.Unquote(value.Value)
			}
		}
		return true
	})
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == table || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		ast.Inspect(parsed(t, path), func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				return n.Op != token.EQL && n.Op != token.NEQ
			case *ast.SelectorExpr:
				if of, ok := n.X.(*ast.Ident); ok && of.Name == "api" {
					used[names[n.Sel.Name]] = true
				}
			case *ast.Ident:
				if filepath.Dir(path) == "api" {
					used[names[n.Name]] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}

func parsed(t *testing.T, path string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
