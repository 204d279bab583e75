package identity

import "net/http"

// allRoutes are all paths; the first that matches counts.
func allRoutes() []route { return append(append(loginRoutes(), managedRoutes()...), graphRoutes()...) }

func loginRoutes() []route {
	token1, token2 := post("token_v1", (*Face).tokenByV1), post("token_v2", (*Face).tokenByV2)
	device := post("device_code", (*Face).deviceCode)
	authorize := map[string]operation{
		http.MethodGet:  {"authorize", (*Face).authorize},
		http.MethodPost: {"sign_in", (*Face).signIn},
	}
	code := map[string]operation{
		http.MethodGet:  {"device_page", (*Face).devicePage},
		http.MethodPost: {"device_sign_in", (*Face).deviceSignIn},
	}
	return []route{
		at(oauth, "{t}/discovery/instance", get("instance_discovery", (*Face).instance)),
		at(oauth, "adfs/.well-known/openid-configuration", get("discovery_adfs", (*Face).metadataADFS)),
		at(oauth, "{t}/v2.0/.well-known/openid-configuration", get("discovery_v2", (*Face).metadataV2)),
		at(oauth, "{t}/.well-known/openid-configuration", get("discovery_v1", (*Face).metadataV1)),
		at(oauth, "{t}/discovery/v2.0/keys", get("keys", (*Face).keys)),
		at(oauth, "{t}/discovery/keys", get("keys", (*Face).keys)),
		at(oauth, "{t}/userrealm/{user}", get("user_realm", (*Face).realm)),
		at(oauth, "adfs/oauth2/token", token2),
		at(oauth, "{t}/oauth2/v2.0/token", token2),
		at(oauth, "{t}/oauth2/token", token1),
		at(oauth, "{t}/oauth2/v2.0/devicecode", device),
		at(oauth, "{t}/oauth2/devicecode", device),
		at(page, "{t}/oauth2/v2.0/authorize", authorize),
		at(page, "{t}/oauth2/authorize", authorize),
		at(page, "{t}/oauth2/v2.0/logout", get("logout", (*Face).logout)),
		at(page, "{t}/oauth2/logout", get("logout", (*Face).logout)),
		at(page, "{t}/oauth2/nativeclient", get("native_client", (*Face).nativeClient)),
		at(page, "devicelogin", code),
		at(page, "{t}/oauth2/deviceauth", code),
	}
}

func managedRoutes() []route {
	return []route{
		at(managed, "metadata/identity/oauth2/token", get("managed_identity", (*Face).metadataToken)),
		at(managed, "msi/token", map[string]operation{
			http.MethodGet:  {"managed_identity_app_service", (*Face).appServiceToken},
			http.MethodPost: {"managed_identity_shell", (*Face).shellToken},
		}),
	}
}

func graphRoutes() []route {
	const v = "v1.0/"
	both := func(read, write operation) map[string]operation {
		return map[string]operation{http.MethodGet: read, http.MethodPost: write}
	}
	item := func(noun string, read, change, remove func(*Face, *call) error) map[string]operation {
		return map[string]operation{
			http.MethodGet: {noun + "_get", read}, http.MethodPatch: {noun + "_update", change}, http.MethodDelete: {noun + "_delete", remove},
		}
	}
	remove := func(name string, do func(*Face, *call) error) map[string]operation {
		return map[string]operation{http.MethodDelete: {name, do}}
	}
	routes := []route{
		at(graph, v+"me", get("graph_me", asMe((*Face).user))),
		at(graph, v+"me/memberOf", get("graph_member_of", asMe((*Face).memberOf))),
		at(graph, v+"me/transitiveMemberOf", get("graph_transitive_member_of", asMe((*Face).transitiveMemberOf))),
		at(graph, v+"me/getMemberGroups", post("graph_member_groups", asMe((*Face).memberGroups))),
		at(graph, v+"me/checkMemberGroups", post("graph_check_groups", asMe((*Face).checkGroups))),
		at(graph, v+"me/revokeSignInSessions", post("graph_user_revoke", asMe((*Face).revokeSignIns))),
		at(graph, v+"me/ownedObjects", get("graph_owned", (*Face).ownedObjects)),

		at(graph, v+"users", both(operation{"graph_users", (*Face).users}, operation{"graph_user_create", (*Face).createUser})),
		at(graph, v+"users/{id}", item("graph_user", (*Face).user, (*Face).updateUser, (*Face).deleteUser)),
		at(graph, v+"users/{id}/revokeSignInSessions", post("graph_user_revoke", (*Face).revokeSignIns)),

		at(graph, v+"groups", both(operation{"graph_groups", (*Face).groups}, operation{"graph_group_create", (*Face).createGroup})),
		at(graph, v+"groups/{id}", item("graph_group", (*Face).group, (*Face).updateGroup, (*Face).deleteGroup)),
		at(graph, v+"groups/{id}/members", get("graph_members", (*Face).members)),
		at(graph, v+"groups/{id}/members/$ref", post("graph_member_add", (*Face).addMember)),
		at(graph, v+"groups/{id}/members/{member}/$ref", remove("graph_member_remove", (*Face).removeMember)),
		at(graph, v+"groups/{id}/owners", get("graph_owners", (*Face).owners)),
		at(graph, v+"groups/{id}/owners/$ref", post("graph_owner_add", (*Face).addOwner)),
		at(graph, v+"groups/{id}/owners/{owner}/$ref", remove("graph_owner_remove", (*Face).removeOwner)),

		at(graph, v+"applications", both(operation{"graph_applications", (*Face).applications}, operation{"graph_application_create", (*Face).createApplication})),
		at(graph, v+"applications/{id}", item("graph_application", (*Face).application, (*Face).updateApplication, (*Face).deleteApplication)),
		at(graph, v+"applications/{id}/addPassword", post("graph_password_add", (*Face).addApplicationPassword)),
		at(graph, v+"applications/{id}/removePassword", post("graph_password_remove", (*Face).removeApplicationPassword)),
		at(graph, v+"applications/{id}/owners", get("graph_application_owners", (*Face).applicationOwners)),
		at(graph, v+"applications/{id}/federatedIdentityCredentials",
			both(operation{"graph_federated", (*Face).federated}, operation{"graph_federated_create", (*Face).createFederated})),
		at(graph, v+"applications/{id}/federatedIdentityCredentials/{credential}",
			item("graph_federated", (*Face).oneFederated, (*Face).updateFederated, (*Face).deleteFederated)),

		at(graph, v+"servicePrincipals", both(operation{"graph_accounts", (*Face).accounts}, operation{"graph_account_create", (*Face).createAccount})),
		at(graph, v+"servicePrincipals/{id}", item("graph_account", (*Face).account, (*Face).updateAccount, (*Face).deleteAccount)),
		at(graph, v+"servicePrincipals/{id}/addPassword", post("graph_password_add", (*Face).addAccountPassword)),
		at(graph, v+"servicePrincipals/{id}/removePassword", post("graph_password_remove", (*Face).removeAccountPassword)),
		at(graph, v+"servicePrincipals/{id}/owners", get("graph_account_owners", (*Face).accountOwners)),

		at(graph, v+"directoryObjects/getByIds", post("graph_objects", (*Face).byIDs)),
		at(graph, v+"directoryObjects/{id}", get("graph_object", (*Face).byID)),
	}
	for _, set := range []string{"users", "groups", "servicePrincipals", "directoryObjects"} {
		routes = append(routes,
			at(graph, v+set+"/{id}/memberOf", get("graph_member_of", (*Face).memberOf)),
			at(graph, v+set+"/{id}/transitiveMemberOf", get("graph_transitive_member_of", (*Face).transitiveMemberOf)),
			at(graph, v+set+"/{id}/getMemberGroups", post("graph_member_groups", (*Face).memberGroups)),
			at(graph, v+set+"/{id}/checkMemberGroups", post("graph_check_groups", (*Face).checkGroups)))
	}
	return routes
}
