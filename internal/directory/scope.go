package directory

import (
	"slices"
	"strings"
)

// Resources for which anybody may have tokens, without the slash at their end.
const (
	ManagementResource = "https://management.azure.com"
	RegistryResource   = "https://containerregistry.azure.net"
	GraphResource      = "https://graph.microsoft.com"
	// ExchangeResource is the audience of tokens that stand for an application as a federated credential.
	ExchangeResource = "api://AzureADTokenExchange"
)

// publicResources are the addresses and, where clients use them, the client IDs of the services that acre is.
var publicResources = []string{
	ManagementResource, "https://management.core.windows.net", "797f4846-ba00-4fd7-ba43-dac1f8f63013",
	RegistryResource, "6a0ec4d3-30cb-4a83-91c0-ae56bc0e3d26",
	GraphResource, "https://graph.windows.net", "00000003-0000-0000-c000-000000000000",
	"https://management.usgovcloudapi.net", "https://management.core.usgovcloudapi.net",
	"https://management.chinacloudapi.cn", "https://management.core.chinacloudapi.cn",
	"https://graph.microsoft.us", "https://microsoftgraph.chinacloudapi.cn",
	ExchangeResource,
}

func (s *Service) knownResource(resource string) bool {
	if len(resource) > maxResource {
		return false
	}
	bare := strings.ToLower(strings.TrimSuffix(resource, "/"))
	return slices.Contains(publicResources, bare) || bare == strings.ToLower(ExchangeResource) ||
		s.opt.Resource != nil && s.opt.Resource(strings.TrimSuffix(resource, "/"))
}

// Bounds of a scope.
const (
	maxScope    = 4096
	maxResource = 512
)

// oidcScopes ask for more tokens, not for a resource.
var oidcScopes = []string{"openid", "profile", "offline_access", "email"}

// asked is what a client asks a token for.
type asked struct {
	resource string // the claim aud, as asked
	scope    string // as answered
}

// parseScope reads the field scope: all that remains without OIDC's scopes names one resource, of which the suffix
// /.default, /user_impersonation or the name of a permission is cut, with one slash. With none left, or a bare permission,
// it is Graph, as with the real service.
func (s *Service) parseScope(scope string) (asked, error) {
	if len(scope) > maxScope {
		return asked{}, refuse(badScope, "The provided value for the input parameter 'scope' is not valid: it has more than %d bytes.", maxScope)
	}
	a := asked{scope: strings.Join(strings.Fields(scope), " ")}
	for _, one := range strings.Fields(scope) {
		if slices.Contains(oidcScopes, strings.ToLower(one)) {
			continue
		}
		resource := s.resourceOf(one)
		if a.resource != "" && a.resource != resource {
			return asked{}, refuse(badScope, "The provided value for the input parameter 'scope' is not valid: "+
				"it names two resources, %.100s and %.100s. Ask for one at a time.", a.resource, resource)
		}
		a.resource = resource
	}
	if a.resource == "" {
		a.resource = GraphResource
	}
	return a, s.checkResource(a.resource)
}

// resourceOf cuts the permission of a scope.
func (s *Service) resourceOf(scope string) string {
	for _, suffix := range []string{"/.default", "/user_impersonation"} {
		if resource, found := strings.CutSuffix(scope, suffix); found {
			return resource
		}
	}
	if !strings.ContainsAny(scope, "/:") && !s.knownResource(scope) {
		return GraphResource // User.Read and its like
	}
	if i := strings.LastIndexByte(scope, '/'); i > 0 && !s.knownResource(scope) && s.knownResource(scope[:i]) {
		return scope[:i]
	}
	return scope
}

func (s *Service) checkResource(resource string) error {
	if s.knownResource(resource) {
		return nil
	}
	return refuse(badResource, "The resource principal named %.200s was not found in the tenant named %s. "+
		"Ask for one that is served here, such as %s/.default.", resource, s.opt.Tenant, ManagementResource)
}

// asked reads what a request asks for: the field scope, or of version 1 the field resource.
func (s *Service) asked(scope, resource string) (asked, error) {
	if resource == "" {
		return s.parseScope(scope)
	}
	return asked{resource, resource + "/.default"}, s.checkResource(resource)
}
