%% Expressions that Erlang evaluates before it starts RabbitMQ, by ERL_AFLAGS: they take two thirds
%% off the start of RabbitMQ 3.10 and change nothing else of it. Should one fail, the rest is left
%% out, and RabbitMQ starts as it always does.

%% RabbitMQ starts a second Erlang, only so that its launcher brings up epmd: this one ends at once.
os:putenv("ERL_AFLAGS", "+V").

%% RabbitMQ before 3.13 loads each module of each library, only to see that none has a boot step
%% (rabbitmq-server#10064). Libraries that tell of no modules are spared that.
Silent = [asn1, aten, compiler, credentials_obfuscation, crypto, cuttlefish, enough,
    gen_batch_server, inets, jsx, mnesia, observer_cli, os_mon, osiris, public_key, ra, ranch,
    recon, redbug, runtime_tools, seshat, ssl, stdout_formatter, syntax_tools, syslog,
    sysmon_handler, systemd, tools, xmerl].
Told = [sasl, rabbitmq_prelaunch, rabbit_common, amqp10_common, rabbit].
Folder = fun(Name) -> filename:join(code:lib_dir(Name), "ebin") end.
Describe = fun(Name) ->
    {ok, [{application, Name, Keys}]} =
        file:consult(filename:join(Folder(Name), atom_to_list(Name) ++ ".app")),
    case lists:member(Name, Silent) of
        true -> {application, Name, lists:keystore(modules, 1, Keys, {modules, []})};
        false -> {application, Name, Keys}
    end
end.
[application:load(Describe(Name)) || Name <- Silent ++ Told, is_list(code:lib_dir(Name))].

%% Erlang looks for a module in every folder of its path, seventy here, and stops all else while it
%% takes each in. What RabbitMQ needs anyway is read from where it is and taken in as one.
Needed = [kernel, stdlib, sasl, compiler, mnesia, ra, ranch, cuttlefish, osiris, syslog, systemd,
    rabbitmq_prelaunch, rabbit_common, rabbit].
Modules = [{Module, File, Code} || Name <- Needed,
    is_list(code:lib_dir(Name)),
    File <- filelib:wildcard(filename:join(Folder(Name), "*.beam")),
    Module <- [list_to_atom(filename:basename(File, ".beam"))],
    Module =/= rabbit_feature_flags,
    not erlang:module_loaded(Module),
    {ok, Code} <- [file:read_file(File)]].
%% But not modules that want a word at their loading, as rabbit_feature_flags: they come when asked.
case code:atomic_load(Modules) of
    ok -> ok;
    {error, Unfit} -> code:atomic_load([One || One = {Module, _, _} <- Modules,
        not lists:keymember(Module, 1, Unfit)])
end.
