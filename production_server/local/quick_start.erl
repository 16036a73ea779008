%% Expressions that Erlang evaluates before it starts RabbitMQ, by ERL_AFLAGS. They cut the start of
%% RabbitMQ 3.10 to a third and change nothing else. If one fails, the rest are skipped and RabbitMQ
%% starts as usual.

%% Only the versions that this was tested with; any other starts as usual.
Series = fun
    (Library) when is_list(Library) ->
        [_, Major, Minor | _] = string:lexemes(filename:basename(Library), "-."),
        Major ++ "." ++ Minor;
    (_) -> none
end.
Tested = lists:member(Series(code:lib_dir(rabbit)), ["3.9", "3.10", "3.12"]).

%% RabbitMQ starts a second Erlang, only so that its launcher starts epmd. That one exits at once,
%% or, with an untested version, does not evaluate this file again.
case Tested of
    true -> os:putenv("ERL_AFLAGS", "+V");
    false -> os:unsetenv("ERL_AFLAGS")
end.

%% RabbitMQ before 3.13 loads every module of every library just to look for boot steps
%% (rabbitmq-server#10064). It skips a library that lists no modules, so these list none.
NoModules = [asn1, aten, compiler, credentials_obfuscation, crypto, cuttlefish, enough,
    gen_batch_server, inets, jsx, mnesia, observer_cli, os_mon, osiris, public_key, ra, ranch,
    recon, redbug, runtime_tools, seshat, ssl, stdout_formatter, syntax_tools, syslog,
    sysmon_handler, systemd, tools, xmerl].
AllModules = [sasl, rabbitmq_prelaunch, rabbit_common, amqp10_common, rabbit].
Folder = fun(Name) -> filename:join(code:lib_dir(Name), "ebin") end.
Describe = fun(Name) ->
    {ok, [{application, Name, Keys}]} =
        file:consult(filename:join(Folder(Name), atom_to_list(Name) ++ ".app")),
    case lists:member(Name, NoModules) of
        true -> {application, Name, lists:keystore(modules, 1, Keys, {modules, []})};
        false -> {application, Name, Keys}
    end
end.
[application:load(Describe(Name)) || Tested, Name <- NoModules ++ AllModules, is_list(code:lib_dir(Name))].

%% Erlang searches seventy folders for each module, and loading one stops everything else. So read
%% the modules that RabbitMQ needs anyway from where they are, and load them in one go.
Needed = [kernel, stdlib, sasl, compiler, mnesia, ra, ranch, cuttlefish, osiris, syslog, systemd,
    rabbitmq_prelaunch, rabbit_common, rabbit].
Modules = [{Module, File, Code} || Tested, Name <- Needed,
    is_list(code:lib_dir(Name)),
    File <- filelib:wildcard(filename:join(Folder(Name), "*.beam")),
    Module <- [list_to_atom(filename:basename(File, ".beam"))],
    Module =/= rabbit_feature_flags,
    not erlang:module_loaded(Module),
    {ok, Code} <- [file:read_file(File)]].
%% Modules that run code when loaded, such as rabbit_feature_flags, are loaded on demand instead.
case code:atomic_load(Modules) of
    ok -> ok;
    {error, Refused} -> code:atomic_load([One || One = {Module, _, _} <- Modules,
        not lists:keymember(Module, 1, Refused)])
end.
