package controlplane

import (
	"net/http"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/web"
)

// isMetadata tells whether a path is the one by which clients find the other hosts.
func isMetadata(path string) bool {
	part := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	return len(part) == 2 && strings.EqualFold(part[0], "metadata") && strings.EqualFold(part[1], "endpoints")
}

type cloudWire struct {
	Name                                string            `json:"name"`
	Portal                              string            `json:"portal"`
	ResourceManager                     string            `json:"resourceManager"`
	Authentication                      authenticationW   `json:"authentication"`
	MicrosoftGraphResourceID            string            `json:"microsoftGraphResourceId"`
	GraphAudience                       string            `json:"graphAudience"`
	Graph                               string            `json:"graph"`
	Media                               string            `json:"media"`
	Batch                               string            `json:"batch"`
	SQLManagement                       string            `json:"sqlManagement"`
	VMImageAliasDoc                     string            `json:"vmImageAliasDoc"`
	Gallery                             string            `json:"gallery"`
	ActiveDirectoryDataLake             string            `json:"activeDirectoryDataLake"`
	LogAnalyticsResourceID              string            `json:"logAnalyticsResourceId"`
	AppInsightsResourceID               string            `json:"appInsightsResourceId"`
	AppInsightsTelemetryChannelResource string            `json:"appInsightsTelemetryChannelResourceId"`
	AttestationResourceID               string            `json:"attestationResourceId"`
	SynapseAnalyticsResourceID          string            `json:"synapseAnalyticsResourceId"`
	OssrDbmsResourceID                  string            `json:"ossrDbmsResourceId"`
	Suffixes                            map[string]string `json:"suffixes"`
}

type authenticationW struct {
	LoginEndpoint    string   `json:"loginEndpoint"`
	Audiences        []string `json:"audiences"`
	Tenant           string   `json:"tenant"`
	IdentityProvider string   `json:"identityProvider"`
}

// metadata tells clients where the installation's parts are, in the shape that their version knows. It needs no token: who
// asks has none yet. What acre does not serve has the management API's address, so that no client goes elsewhere.
func (f *Face) metadata(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notAllowed(r.Method, r.URL.Path)
	}
	c := f.opt.Cloud(r)
	arm := c.Management + "/"
	switch version := strings.TrimSuffix(r.URL.Query().Get("api-version"), "-preview"); version {
	case "2015-01-01", "1.0":
		return web.WriteJSON(w, http.StatusOK, map[string]any{
			"galleryEndpoint": arm, "graphEndpoint": c.Graph + "/", "portalEndpoint": arm,
			"authentication": map[string]any{"loginEndpoint": c.Login + "/", "audiences": []string{arm, c.Management}},
		})
	case "2018-01-01", "2018-05-01":
		return web.WriteJSON(w, http.StatusOK, map[string]any{
			"galleryEndpoint": arm, "graphEndpoint": c.Graph + "/", "portalEndpoint": arm, "graphAudience": c.Graph + "/",
			"authentication": map[string]any{"loginEndpoint": c.Login + "/", "audiences": []string{arm, c.Management}, "tenant": "common", "identityProvider": "AAD"},
			"cloudEndpoint":  map[string]any{"public": map[string]any{"endpoint": hostOf(c.Management), "locations": regionNames()}},
		})
	case "":
		return fault.New(fault.Code{Kind: fault.Invalid, Name: "MissingApiVersionParameter"}, "The api-version query parameter (?api-version=) is required for all requests.")
	case "2019-05-01":
		return web.WriteJSON(w, http.StatusOK, []cloudWire{wireCloud(c)})
	default:
		return web.WriteJSON(w, http.StatusOK, wireCloud(c))
	}
}

func hostOf(url string) string {
	_, host, _ := strings.Cut(url, "://")
	return host
}

func wireCloud(c Cloud) cloudWire {
	arm, graph := c.Management+"/", c.Graph+"/"
	out := cloudWire{
		Name: "Acre", Portal: arm, ResourceManager: arm,
		Authentication:           authenticationW{c.Login, []string{arm, c.Management}, "common", "AAD"},
		MicrosoftGraphResourceID: graph, GraphAudience: graph, Graph: graph,
		Media: arm, Batch: arm, SQLManagement: arm, VMImageAliasDoc: arm, Gallery: arm, ActiveDirectoryDataLake: arm,
		LogAnalyticsResourceID: arm, AppInsightsResourceID: arm, AppInsightsTelemetryChannelResource: arm, AttestationResourceID: arm,
		SynapseAnalyticsResourceID: arm, OssrDbmsResourceID: arm, Suffixes: map[string]string{"acrLoginServer": c.Suffix},
	}
	for _, name := range []string{
		"storage", "keyVaultDns", "sqlServerHostname", "mhsmDns", "azureDataLakeStoreFileSystem", "azureDataLakeAnalyticsCatalogAndJob",
		"azureFrontDoorEndpointSuffix", "storageSyncEndpointSuffix", "mysqlServerEndpoint", "postgresqlServerEndpoint", "mariadbServerEndpoint",
		"synapseAnalytics", "attestationEndpoint",
	} {
		out.Suffixes[name] = strings.ToLower(name) + "." + c.Suffix
	}
	return out
}
